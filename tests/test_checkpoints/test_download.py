"""Checkpoints of URLs come into the cache whole, once, and right, or not at all."""

import hashlib
import io
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import torch
from file_server import serve
from filelock import FileLock
from safetensors.torch import save as safetensors

from mmswinv2.checkpoints import connection, transfer
from mmswinv2.checkpoints.download import Copy, cache_folder, load, load_url


def saved(value, **options):
    """A checkpoint of a few kilobytes."""
    content = io.BytesIO()
    torch.save({"w": torch.full((2000,), float(value))}, content, **options)
    return content.getvalue()


CONTENT = saved(1)
SIZE = len(CONTENT)


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setattr(transfer, "CHUNK", 1000)
    monkeypatch.delenv("MMSWINV2_OFFLINE", raising=False)
    monkeypatch.setenv("MMSWINV2_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home" / "weights"


@pytest.fixture
def server():
    with serve() as server:
        server.files["/w.pth"] = CONTENT
        yield server


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "w.pth"


def fetch(url, file, **options):
    """The value of the weights that a URL gives."""
    found, content = load("w", [Copy(url, file, **options)])
    assert found == file
    return content["w"].unique().item()


def leave_part(file, size, validator='"1"', content=CONTENT):
    file.parent.mkdir()
    part = file.with_name("w.part.pth")
    part.write_bytes(content[:size])
    if validator is not None:
        file.with_name("w.part.pth.validator").write_bytes(validator.encode())


def only_the_file(file):
    """Its content; no part of it may be left."""
    names = [path.name for path in file.parent.iterdir() if path.suffix != ".lock"]
    assert names == [file.name]
    return file.read_bytes()


def ranges(server):
    return [headers.get("Range") for _, headers in server.requests]


def test_a_file_is_fetched_once(server, file):
    for _ in range(2):
        fetch(f"{server.url}/w.pth", file)
        assert only_the_file(file) == CONTENT
    assert ranges(server) == [None]


def test_a_part_is_continued(server, file):
    leave_part(file, 4321)
    fetch(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == ["bytes=4321-"]


def test_a_part_of_another_version_is_not(server, file):
    leave_part(file, 4321, validator='"0"', content=b"x" * 4321)
    fetch(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT


def test_an_interruption_mixes_no_versions(server, file, monkeypatch):
    leave_part(file, 4321, validator='"0"', content=b"x" * 4321)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transfer.Progress, "update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(f"{server.url}/w.pth", file)
    fetch(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT


def test_an_empty_answer_is_no_file(server, file):
    server.break_after = 0
    with pytest.raises(ValueError, match="the answer is empty"):
        fetch(f"{server.url}/w.pth", file)
    assert not file.exists()


def test_a_part_of_an_unknown_version_is_not(server, file):
    leave_part(file, 4321, validator=None, content=b"x" * 4321)
    fetch(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == [None]


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
def test_without_a_strong_tag_every_attempt_starts_anew(server, file, etag):
    """A weak tag may be the same for other bytes."""
    server.etag, server.break_after = etag, 6000
    for _ in range(2):
        with pytest.raises(ValueError, match=f"after 6,000 of {SIZE:,} bytes"):
            fetch(f"{server.url}/w.pth", file)
    assert set(ranges(server)) == {None}


def test_a_server_that_knows_no_ranges_sends_all(server, file):
    server.ranges = False
    leave_part(file, 4321)
    fetch(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT


def test_a_server_that_sends_another_range_is_asked_again(server, file, monkeypatch):
    leave_part(file, 4321)
    monkeypatch.setattr(transfer, "_content_range", lambda headers: (4000, SIZE))
    fetch(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == ["bytes=4321-", None]


def test_a_complete_part_needs_no_byte(server, file):
    """The process ended between the last byte and the renaming."""
    leave_part(file, len(CONTENT))
    fetch(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == [f"bytes={SIZE}-"]


def test_a_part_that_is_too_long_is_dropped(server, file):
    leave_part(file, None, content=CONTENT + b"x")
    fetch(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == [f"bytes={SIZE + 1}-", None]


def test_a_transfer_that_breaks_off_goes_on(server, file):
    server.break_after = 3000
    fetch(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == [None, "bytes=3000-", "bytes=6000-", "bytes=9000-"]


def test_one_that_always_breaks_off_is_kept_for_the_next_call(server, file):
    server.break_after = 1500
    with pytest.raises(ValueError, match=f"broke off after 7,500 of {SIZE:,} bytes"):
        fetch(f"{server.url}/w.pth", file)
    assert not file.exists()
    fetch(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT


def test_a_refusal_names_url_and_code(server, file):
    url = f"{server.url}/other.pth"
    with pytest.raises(ValueError, match=rf"{url} as w.pth \(HTTP 404 Not Found\)"):
        fetch(url, file)
    assert len(server.requests) == 1


def test_no_server_is_no_traceback_of_sockets(file):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/w.pth"
    with pytest.raises(ValueError, match=f"{url} as .*Connection refused"):
        fetch(url, file)


def test_a_silent_server_ends_in_a_timeout(file, monkeypatch):
    monkeypatch.setattr(connection, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/w.pth"
        with pytest.raises(ValueError, match="timed out"):
            fetch(url, file)


def slowly(before, rest):
    """Some bytes at once and more one by one, each before a socket's time is over."""
    yield before
    for byte in rest:
        time.sleep(0.02)
        yield bytes([byte])


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % SIZE


@pytest.mark.parametrize("sent", [HEAD[:9], HEAD, HEAD + b"\r\n" + CONTENT[:3000]])
def test_a_trickle_ends_by_its_rate(server, file, monkeypatch, sent):
    """Of the status, the headers and the file; a time-out never comes."""
    monkeypatch.setattr(connection, "WINDOW", 0.2)
    monkeypatch.setattr(transfer, "ATTEMPTS", 2)
    rest = (HEAD + b"A: b\r\n" * 99)[len(sent) :] + CONTENT
    server.answers["/w.pth"] = lambda: slowly(sent, rest)
    with pytest.raises(ValueError, match=r"stalled: fewer than 61,440 bytes came in"):
        fetch(f"{server.url}/w.pth", file)
    assert not file.exists()


PAGES = [b"<!DOCTYPE html><p>Log in", b"\n <html></html>"]
JSON = b'{"error": "no such model"}'
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        *((page, "is a web page; is a proxy or a login") for page in PAGES),
        (JSON, "is JSON, no weights"),
        (POINTER, "is a Git LFS pointer"),
        (b"\x1f\x8b" + CONTENT, "is no checkpoint .it starts with"),
        (b"w" * SIZE, "is no checkpoint .it starts with b'wwww"),
    ],
)
def test_what_is_no_checkpoint_spares_the_part(server, file, body, expected):
    server.files["/w.pth"], server.etag = body, '"other"'
    leave_part(file, 4321)
    with pytest.raises(ValueError, match=f"the answer {expected}"):
        fetch(f"{server.url}/w.pth", file)
    server.files["/w.pth"], server.etag = CONTENT, '"1"'
    fetch(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server)[-1] == "bytes=4321-"


@pytest.mark.parametrize(
    "content",
    [
        CONTENT,
        saved(1, _use_new_zipfile_serialization=False),
        safetensors({"w": torch.ones(2000)}),
    ],
    ids=["zip", "pickle", "safetensors"],
)
@pytest.mark.parametrize("length", ["", "Content-Length: many\r\n"])
def test_a_cut_is_seen_without_a_length(server, tmp_path, content, length):
    """By reading the file, before it gets its name."""
    suffix = ".safetensors" if content[8:9] == b"{" else ".pth"
    file = tmp_path / "folder" / f"w{suffix}"
    head = f"HTTP/1.1 200 OK\r\n{length}\r\n".encode()
    server.answers["/w.pth"] = lambda: [head, content[:-4000]]
    with pytest.raises(ValueError, match="what came is damaged or truncated"):
        fetch(f"{server.url}/w.pth", file)
    assert not [path for path in file.parent.iterdir() if path.suffix != ".lock"]
    server.answers["/w.pth"] = lambda: [head, content]
    assert fetch(f"{server.url}/w.pth", file) == 1


def test_a_damaged_part_is_fetched_again_from_its_start(server, file):
    leave_part(file, 4321, content=b"PK" + b"x" * SIZE)
    assert fetch(f"{server.url}/w.pth", file) == 1
    assert only_the_file(file) == CONTENT
    assert ranges(server) == ["bytes=4321-", None]


def test_a_compressed_answer_is_refused(server, file):
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    server.answers["/w.pth"] = lambda: [head, CONTENT]
    with pytest.raises(ValueError, match="the answer is compressed"):
        fetch(f"{server.url}/w.pth", file)


@pytest.mark.parametrize(
    "validator", ["", "\n", '"1"\r\nX: y', '"\xe9"', '"' + "1" * 300 + '"', "\x00"]
)
def test_a_version_that_no_header_takes_is_not_asked_for(server, file, validator):
    leave_part(file, 4321, validator=validator, content=b"x" * 4321)
    assert fetch(f"{server.url}/w.pth", file) == 1
    assert ranges(server) == [None]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nETag: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nPK\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes junk\r\n\r\nPK",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nPK",
        *(
            b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % place
            for place in (b"/w.pth", b"file:///etc/passwd", b"ftp://h/w.pth", b"http:")
        ),
    ],
)
def test_an_odd_answer_is_one_sentence(server, file, answer, monkeypatch):
    monkeypatch.setattr(transfer, "ATTEMPTS", 2)
    server.answers["/w.pth"] = lambda: [answer]
    with pytest.raises(ValueError, match=r"w could not be fetched.*:\n  http.*\)$"):
        fetch(f"{server.url}/w.pth", file)
    assert not file.exists()


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
