"""Checkpoints of URLs come into the cache once, and right, or not at all."""

import hashlib
import os
import re
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from file_server import serve
from filelock import FileLock
from weights_server import CONTENT, HEAD, JSON, fetch, only_the_file, ranges, saved

from mmswinv2.checkpoints.download import Copy, cache_folder, load, load_url


def test_a_file_is_fetched_once(server, file):
    for _ in range(2):
        fetch(f"{server.url}/w.pth", file)
        assert only_the_file(file) == CONTENT
    assert ranges(server) == [None]


def test_the_next_server_is_asked(server, tmp_path):
    """Whatever is wrong with the ones before it, which are named."""
    server.files |= {"/json": JSON, "/other": saved(2)}

    def check(checkpoint):
        if checkpoint["w"][0] != 1:
            raise ValueError("has another w")

    urls = ["no url", "file:///w", f"{server.url}/json", f"{server.url}/other"]
    copies = [
        Copy(url, tmp_path / f"{number}.pth", check=check)
        for number, url in enumerate([*urls, f"{server.url}/w.pth"])
    ]
    file, content = load("w", copies)
    assert file == copies[-1].file and content["w"][0] == 1
    with pytest.raises(ValueError, match="w could not be fetched") as error:
        load("w", [Copy(c.url, tmp_path / "new", check=check) for c in copies[:-1]])
    reasons = [line.partition(" as new (")[2] for line in str(error.value).splitlines()]
    assert [reason.split(" ")[0] for reason in reasons] == [
        "",
        "is",
        "is",
        "the",
        "what",
    ]
    assert reasons[-1] == "what came has another w)"


def test_sha256(server, file):
    digest = hashlib.sha256(CONTENT).hexdigest()
    url = f"{server.url}/w.pth"
    with pytest.raises(ValueError, match=f"256 {digest[:16]}.*expected 01234567"):
        fetch(url, file, sha256_prefix="01234567")
    assert not file.exists()
    fetch(url, file, sha256_prefix=digest[:8])
    assert only_the_file(file) == CONTENT
    assert ranges(server) == [None, None]  # the wrong bytes were not continued


@pytest.mark.parametrize(
    "bad", [b"", JSON, CONTENT[:5000], saved(2)], ids=["empty", "page", "cut", "other"]
)
def test_a_bad_file_in_the_cache_is_moved_aside_and_fetched_anew(
    server, file, bad, capsys
):
    file.parent.mkdir()
    file.write_bytes(bad)
    digest = hashlib.sha256(CONTENT).hexdigest()[:8]
    for _ in range(2):
        assert fetch(f"{server.url}/w.pth", file, sha256_prefix=digest) == 1
    assert len(server.requests) == 1
    assert file.with_name("w.pth.bad").read_bytes() == bad
    said = capsys.readouterr().err
    assert said.startswith(f"{file} has the SHA-256")
    assert (
        "has the SHA-256" in said and "moved to w.pth.bad and is fetched anew" in said
    )


def test_a_cache_that_cannot_be_written_is_one_sentence(server, file):
    file.parent.write_text("a file where the folder should be")
    with pytest.raises(RuntimeError, match=r"w cannot be kept in .*folder .*set MMSW"):
        fetch(f"{server.url}/w.pth", file)
    assert not server.requests


def test_offline(server, file, monkeypatch):
    monkeypatch.setenv("MMSWINV2_OFFLINE", "1")
    with pytest.raises(ValueError, match="MMSWINV2_OFFLINE is set"):
        fetch(f"{server.url}/w.pth", file)
    assert not server.requests
    file.parent.mkdir()
    file.write_bytes(CONTENT)
    fetch(f"{server.url}/w.pth", file)  # nothing to fetch


# ---- by URL


def test_urls_with_the_same_last_part_have_files_of_their_own(server, home):
    paths = ["/a/w.pth", "/b/w.pth", "/b/w.pth?v=2", "/b/w.pth?v=3"]
    server.files |= {path: saved(number) for number, path in enumerate(paths)}
    for _ in range(2):
        for number, path in enumerate(paths):
            file, content = load_url(server.url + path)
            assert content["w"][0] == number
            assert file.parent == home == cache_folder()
            assert file.name.endswith("-w.pth")
    assert len(server.requests) == 4


class EveryPath(dict):
    """The same file at every path."""

    def __contains__(self, path):
        return True

    def __getitem__(self, path):
        return lambda: [HEAD + b"\r\n", CONTENT]


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/w%20x.pth", "-w_x.pth"),
        ("/folder%2F..%2Fw.pth?alt=media/x.bin", "-w.pth"),
        ("/w%00.pth", "-w_.pth"),
        ("/w\u00fc \u2713.pth", "-w_.pth"),
        ("/" + "w" * 500 + ".pth", "w" * 96 + ".pth"),
    ],
)
def test_names_of_files_are_safe(server, home, path, end):
    server.answers = EveryPath()
    file, _ = load_url(server.url + path)
    assert file.parent == home and file.name.endswith(end)
    assert re.fullmatch(r"[\w.-]{1,117}", file.name, re.ASCII)


@pytest.mark.parametrize("path", ["", "/", "/folder/", "/..", "/?name=w.pth", "/%2E"])
def test_a_url_without_a_name_is_refused(server, path):
    with pytest.raises(ValueError, match=r"names no file; its path has to end in one"):
        load_url(server.url + path)
    assert not server.requests


@pytest.mark.parametrize(
    "url", ["http://", "http:///w.pth", "http://h:x/w", "http://[/"]
)
def test_a_url_without_a_host_is_refused(url):
    with pytest.raises(ValueError, match=r"is no http\(s\) URL with a host"):
        load_url(url)


def test_a_login_is_sent_and_never_shown(server, home, capsys):
    """Nor is the query, which may be a signature."""
    url = server.url.replace("//", "//user:se%63ret@") + "/w.pth?token=secret"
    server.files["/w.pth?token=secret"] = b"PK no checkpoint"
    with pytest.raises(ValueError, match=r"http://127[^ ]*/w.pth\?\.\.\. as") as error:
        load_url(url)
    server.files["/w.pth?token=secret"] = CONTENT
    file, _ = load_url(url)
    file.write_bytes(b"bad")
    load_url(url)
    _, headers = server.requests[0]
    assert headers["Authorization"] == "Basic dXNlcjpzZWNyZXQ="
    names = " ".join(path.name for path in home.iterdir())
    for text in (str(error.value), *capsys.readouterr(), names):
        assert "cret" not in text and "user" not in text and "token" not in text


def test_a_login_does_not_follow_to_another_host(server):
    with serve() as other:
        other.files["/w.pth"] = CONTENT
        moved = f"HTTP/1.1 302 Found\r\nLocation: {other.url}/w.pth\r\n\r\n".encode()
        server.answers["/w.pth"] = lambda: [moved]
        load_url(server.url.replace("//", "//user:secret@") + "/w.pth")
        assert "Authorization" not in other.requests[0][1]


# ---- several processes


def test_a_second_process_waits_and_fetches_nothing(server, file, capsys):
    file.parent.mkdir()
    with FileLock(file.with_name(".w.pth.lock")):
        second = threading.Thread(
            target=fetch, args=(f"{server.url}/w.pth", file), daemon=True
        )
        second.start()
        deadline = time.monotonic() + 10
        said = ""
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
            said = capsys.readouterr().err
        assert said.startswith("waiting for another process")
        file.write_bytes(CONTENT)
    second.join(10)
    assert not second.is_alive() and not server.requests


RANK = textwrap.dedent("""
    import sys, torch
    from pathlib import Path
    from mmswinv2.checkpoints.download import Copy, load
    rank, store, url, file = sys.argv[1:]
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=int(rank), world_size=2)
    try:
        file, content = load("w", [Copy(url, Path(file))])
    except ValueError as error:
        print(error)
    else:
        print(content["w"].sum().item())
""")


@pytest.mark.parametrize("path", ["/w.pth", "/missing.pth"])
def test_local_rank_0_fetches_for_all(server, file, tmp_path, path):
    """The others learn of a failure instead of waiting for ever."""
    url = server.url + path
    runs = []
    for rank in "01":
        args = [rank, str(tmp_path / "store"), url, str(file)]
        env = os.environ | {"LOCAL_RANK": rank, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", RANK, *args]
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        runs.append(subprocess.Popen(command, env=env, **pipes))
    outputs = [run.communicate(timeout=120) for run in runs]
    (first, bar), (second, no_bar) = outputs
    assert [asked for asked, _ in server.requests] == [path]
    if path == "/w.pth":
        assert first == second == "2000.0\n"
        assert "w.part.pth" in bar and "w.part.pth" not in no_bar
    else:
        assert "HTTP 404" in first
        assert "local rank 0 could not fetch it" in second
