"""Files are resumed, and whatever else a server answers is one sentence."""

import socket
import time

import pytest
import torch
from safetensors.torch import save as safetensors
from weights_server import (
    CONTENT,
    HEAD,
    JSON,
    SIZE,
    fetch,
    leave_part,
    only_the_file,
    ranges,
    saved,
)

from mmswinv2.checkpoints import connection, transfer


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


def test_a_server_that_is_out_of_order_spares_the_part(server, file):
    leave_part(file, 4321)
    server.answers["/w.pth"] = lambda: [b"HTTP/1.1 503 Busy\r\n\r\n"]
    with pytest.raises(ValueError, match="HTTP 503"):
        fetch(f"{server.url}/w.pth", file)
    server.answers.clear()
    fetch(f"{server.url}/w.pth", file)
    assert ranges(server)[-1] == "bytes=4321-"


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
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        *((page, "is a web page; is a proxy or a login") for page in PAGES),
        (JSON, "is JSON, no weights"),
        (POINTER, "is a Git LFS pointer"),
        (b"\x1f\x8b" + CONTENT, "is no checkpoint .it starts with"),
        (b"w" * SIZE, "is no checkpoint .it starts with b'wwww"),
        (bytes([9, *7 * [0]]) + b"|" * SIZE, "is no checkpoint .it starts with"),
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
