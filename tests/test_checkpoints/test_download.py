import hashlib
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from file_server import serve
from filelock import FileLock

from mmswinv2.checkpoints import download as module
from mmswinv2.checkpoints.download import TransferError, download

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 1000)
    monkeypatch.delenv("MMSWINV2_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve() as server:
        server.files["/w.pth"] = CONTENT
        yield server


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "w.pth"


def leave_part(file, size, validator='"1"', content=CONTENT):
    file.parent.mkdir()
    part = file.with_name("w.pth.part")
    part.write_bytes(content[:size])
    if validator:
        file.with_name("w.pth.part.validator").write_text(validator)


def only_the_file(file):
    """Its content; no part of it may be left."""
    names = [path.name for path in file.parent.iterdir() if path.suffix != ".lock"]
    assert names == [file.name]
    return file.read_bytes()


def ranges(server):
    return [headers.get("Range") for _, headers in server.requests]


def test_a_file_is_fetched_once(server, file):
    for _ in range(2):
        download(f"{server.url}/w.pth", file)
        assert only_the_file(file) == CONTENT
    assert ranges(server) == [None]


def test_a_part_is_continued(server, file):
    leave_part(file, 4321)
    download(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == ["bytes=4321-"]


def test_a_part_of_another_version_is_not(server, file):
    leave_part(file, 4321, validator='"0"', content=b"x" * 4321)
    download(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT


def test_an_interruption_mixes_no_versions(server, file, monkeypatch):
    leave_part(file, 4321, validator='"0"', content=b"x" * 4321)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.Progress, "update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            download(f"{server.url}/w.pth", file)
    download(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT


def test_an_empty_answer_is_no_file(server, file):
    server.break_after = 0
    with pytest.raises(TransferError, match="the answer is empty"):
        download(f"{server.url}/w.pth", file)
    assert not file.exists()


def test_a_part_of_an_unknown_version_is_not(server, file):
    leave_part(file, 4321, validator=None, content=b"x" * 4321)
    download(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == [None]


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
def test_without_a_strong_tag_every_attempt_starts_anew(server, file, etag):
    """A weak tag may be the same for other bytes."""
    server.etag, server.break_after = etag, 6000
    for _ in range(2):
        with pytest.raises(TransferError, match=r"after 6,000 of 10,240 bytes"):
            download(f"{server.url}/w.pth", file)
    assert set(ranges(server)) == {None}


def test_a_server_that_knows_no_ranges_sends_all(server, file):
    server.ranges = False
    leave_part(file, 4321)
    download(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT


def test_a_server_that_sends_another_range_is_asked_again(server, file, monkeypatch):
    leave_part(file, 4321)
    monkeypatch.setattr(module, "_content_range", lambda headers: (4000, 10240))
    download(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == ["bytes=4321-", None]


def test_a_complete_part_needs_no_byte(server, file):
    """The process ended between the last byte and the renaming."""
    leave_part(file, len(CONTENT))
    download(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == ["bytes=10240-"]


def test_a_part_that_is_too_long_is_dropped(server, file):
    leave_part(file, None, content=CONTENT + b"x")
    download(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == ["bytes=10241-", None]


def test_a_transfer_that_breaks_off_goes_on(server, file):
    server.break_after = 3000
    download(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server) == [None, "bytes=3000-", "bytes=6000-", "bytes=9000-"]


def test_one_that_always_breaks_off_is_kept_for_the_next_call(server, file):
    server.break_after = 1500
    with pytest.raises(TransferError, match="broke off after 7,500 of 10,240 bytes"):
        download(f"{server.url}/w.pth", file)
    assert not file.exists()
    download(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT


def test_a_refusal_names_url_and_code(server, file):
    url = f"{server.url}/other.pth"
    with pytest.raises(TransferError, match=f"{url}: HTTP 404 Not Found"):
        download(url, file)
    assert len(server.requests) == 1


def test_no_server_is_no_traceback_of_sockets(file):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/w.pth"
    with pytest.raises(TransferError, match=f"{url}: .*Connection refused"):
        download(url, file)


def test_a_silent_server_ends_in_a_timeout(file, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/w.pth"
        with pytest.raises(TransferError, match="timed out"):
            download(url, file)


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Log in", b"\n <html></html>"])
def test_a_web_page_is_no_file_and_spares_the_part(server, file, page):
    server.files["/w.pth"], server.etag = page, '"page"'
    leave_part(file, 4321)
    with pytest.raises(TransferError, match="the answer is a web page"):
        download(f"{server.url}/w.pth", file)
    server.files["/w.pth"], server.etag = CONTENT, '"1"'
    download(f"{server.url}/w.pth", file)
    assert only_the_file(file) == CONTENT
    assert ranges(server)[-1] == "bytes=4321-"


def test_sha256(server, file):
    digest = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(TransferError, match=f"is {digest[:16]}.*expected 01234567"):
        download(f"{server.url}/w.pth", file, sha256_prefix="01234567")
    assert not file.exists()
    download(f"{server.url}/w.pth", file, sha256_prefix=digest[:8])
    assert only_the_file(file) == CONTENT
    assert ranges(server) == [None, None]  # the wrong bytes were not continued


def test_offline(server, file, monkeypatch):
    monkeypatch.setenv("MMSWINV2_OFFLINE", "1")
    with pytest.raises(TransferError, match="MMSWINV2_OFFLINE is set"):
        download(f"{server.url}/w.pth", file)
    assert not server.requests
    file.parent.mkdir()
    file.write_bytes(b"mine")
    download(f"{server.url}/w.pth", file)  # nothing to fetch


def test_a_second_process_waits_and_fetches_nothing(server, file, capsys):
    file.parent.mkdir()
    with FileLock(file.with_name(".w.pth.lock")):
        second = threading.Thread(
            target=download, args=(f"{server.url}/w.pth", file), daemon=True
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
    from mmswinv2.checkpoints.download import download
    rank, store, url, file = sys.argv[1:]
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=int(rank), world_size=2)
    try:
        download(url, Path(file))
    except OSError as error:
        print(error)
    else:
        print(Path(file).stat().st_size)
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
        assert first == second == "10240\n"
        assert "w.pth" in bar and "w.pth" not in no_bar
    else:
        assert "HTTP 404" in first
        assert "local rank 0 could not fetch it" in second
