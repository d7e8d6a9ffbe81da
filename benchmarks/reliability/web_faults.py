"""A server of files whose answers are wrong in a way of choice."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread


@dataclass
class Ask:
    """A request, and what an answer may depend on.

    Attributes:
        content (bytes): The file that is asked for.
        headers (dict[str, str]): By name in lower case.
        number (int): How many requests came before it.
        at (int): A position in the file.
        random (Random): For what a fault leaves open.
    """

    content: bytes
    headers: dict[str, str]
    number: int
    at: int
    random: Random


Answer = Callable[[Ask], Iterable[bytes]]
FAULTS: dict[str, Answer] = {}


def fault(answer: Answer) -> Answer:
    """Add a way to answer to :data:`FAULTS`, by its docstring."""
    FAULTS["server: " + answer.__doc__.rstrip(".").lower()] = answer
    return answer


def head(status: str, *headers: str) -> bytes:
    """First lines of an answer."""
    lines = [f"HTTP/1.1 {status}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def body(content: bytes, *headers: str) -> Iterator[bytes]:
    """An answer of status 200."""
    yield head("200 OK", f"Content-Length: {len(content)}", *headers)
    yield content


def sound(ask: Ask, tag: str = '"1"') -> Iterator[bytes]:
    """As a good server answers."""
    wanted = re.fullmatch(r"bytes=(\d+)-", ask.headers.get("range", ""))
    total, note = len(ask.content), f"ETag: {tag}"
    if not wanted or ask.headers.get("if-range", tag) != tag:
        yield from body(ask.content, note)
        return
    start = int(wanted[1])
    if start >= total:
        status = "416 Range Not Satisfiable"
        yield head(status, f"Content-Range: bytes */{total}", "Content-Length: 0")
        return
    length = f"Content-Length: {total - start}"
    place = f"Content-Range: bytes {start}-{total - 1}/{total}"
    yield head("206 Partial Content", length, place, note)
    yield ask.content[start:]


def flipped(content: bytes, at: int) -> bytes:
    """With a bit of one byte turned."""
    return content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :]


# ---- the connection


@fault
def hangs_up(ask: Ask) -> Iterator[bytes]:
    """Hangs up after some bytes."""
    first, content = sound(ask)
    yield first
    yield content[: ask.at]


@fault
def hangs_up_once(ask: Ask) -> Iterator[bytes]:
    """Hangs up once."""
    yield from (hangs_up if ask.number == 0 else sound)(ask)


@fault
def no_word(ask: Ask) -> Iterator[bytes]:
    """Hangs up without a word."""
    yield b""


@fault
def silence(ask: Ask) -> Iterator[bytes]:
    """Says nothing."""
    time.sleep(2)
    yield b""


@fault
def trickle(ask: Ask) -> Iterator[bytes]:
    """Trickles."""
    everything = b"".join(sound(ask))
    cut = ask.random.choice((5, 30, len(everything) - len(ask.content) + ask.at))
    yield everything[:cut]
    for byte in everything[cut:]:
        time.sleep(0.05)
        yield bytes([byte])


# ---- the protocol


@fault
def no_http(ask: Ask) -> Iterator[bytes]:
    """Speaks no HTTP."""
    yield ask.random.choice(
        (b"SSH-2.0-x\r\n", b"\x16\x03\x01\x02", b"HTTP/9 x\r\n\r\n")
    )


@fault
def many_headers(ask: Ask) -> Iterator[bytes]:
    """Sends too many headers."""
    many = [f"X-{number}: y" for number in range(300)]
    yield from body(ask.content, *many)


@fault
def long_header(ask: Ask) -> Iterator[bytes]:
    """Sends a long header."""
    yield from body(ask.content, f'ETag: "{"x" * ask.random.choice((300, 10**6))}"')


@fault
def odd_version(ask: Ask) -> Iterator[bytes]:
    """Sends an odd version."""
    odd = ("\xff\xfe", '"\xe4"', '"a\r\n b"', "", '"', "\x00", "W/junk")
    tag = ask.random.choice(odd)
    if ask.number == 0:
        yield from body(ask.content, f"ETag: {tag}")
    else:
        yield from sound(ask, tag)


@fault
def odd_length(ask: Ask) -> Iterator[bytes]:
    """Sends an odd length."""
    odd = ("many", "-1", "1e9", "", "9" * 5000, "\xb2", "0x10", "3, 3")
    yield head("200 OK", f"Content-Length: {ask.random.choice(odd)}")
    yield ask.content


@fault
def wrong_length(ask: Ask) -> Iterator[bytes]:
    """Sends a wrong length."""
    length = ask.random.choice((ask.at, len(ask.content) + 1 + ask.at, 10**17))
    yield head("200 OK", f"Content-Length: {length}")
    yield ask.content


@fault
def cut(ask: Ask) -> Iterator[bytes]:
    """Cuts without a length."""
    yield head("200 OK")
    yield ask.content[: ask.at]


@fault
def odd_chunks(ask: Ask) -> Iterator[bytes]:
    """Sends odd chunks."""
    yield head("200 OK", "Transfer-Encoding: chunked")
    yield b"%x\r\n" % ask.at + ask.content[: ask.at] + b"\r\n"
    yield ask.random.choice(
        (b"", b"zz\r\n", b"-5\r\n", b"fffffffffff\r\nx", b"0\r\n\r\n")
    )


@fault
def odd_range(ask: Ask) -> Iterator[bytes]:
    """Sends an odd range."""
    total = len(ask.content)
    odd = ("", "bytes", f"bytes 0-{'9' * 5000}/{total}", "bytes 5-4/3", "lines 1-2/3")
    odd += (f"bytes {ask.at}-{total - 1}/{total}", f"bytes */{total}")
    yield head("206 Partial Content", f"Content-Range: {ask.random.choice(odd)}")
    yield ask.content[ask.at :]


@fault
def no_more(ask: Ask) -> Iterator[bytes]:
    """Says that there is no more."""
    size = ask.random.choice(("junk", f"bytes */{ask.at}", f"bytes */{10**30}"))
    yield head("416 Range Not Satisfiable", f"Content-Range: {size}")


@fault
def compressed(ask: Ask) -> Iterator[bytes]:
    """Compresses unasked."""
    told = ask.random.choice((True, False))
    yield from body(gzip.compress(ask.content), *["Content-Encoding: gzip"] * told)


@fault
def not_compressed(ask: Ask) -> Iterator[bytes]:
    """Says that plain bytes are compressed."""
    yield from body(ask.content, "Content-Encoding: br")


@fault
def refused(ask: Ask) -> Iterator[bytes]:
    """Refuses."""
    code = ask.random.choice((204, 304, 401, 403, 404, 407, 429, 500, 503, 599, 999))
    yield head(f"{code} token=hunter2", "Content-Length: 0")


@fault
def redirect(ask: Ask) -> Iterator[bytes]:
    """Redirects astray."""
    astray = ("/again", "file:///etc/hostname", "ftp://127.0.0.1/w", "http://", "//[x/")
    astray += ("data:,x", "http://127.0.0.1:1/w?token=hunter2", "\xff\x01", "")
    code = ask.random.choice((301, 302, 303, 307, 308))
    yield head(f"{code} Moved", f"Location: {ask.random.choice(astray)}")


# ---- the file


@fault
def page(ask: Ask) -> Iterator[bytes]:
    """Sends a page."""
    html = b"<!DOCTYPE html><title>Log in</title>" + b" " * 3000
    yield from body(ask.random.choice((html, b"\r\n\t" + html)))


@fault
def json(ask: Ask) -> Iterator[bytes]:
    """Sends JSON."""
    error = b'{"error": "Repository not found", "token": "hunter2"}'
    yield from body(ask.random.choice((error, b"[]", b"{}", b"null")))


@fault
def pointer(ask: Ask) -> Iterator[bytes]:
    """Sends a pointer."""
    yield from body(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")


@fault
def nothing(ask: Ask) -> Iterator[bytes]:
    """Sends nothing."""
    yield from body(b"")


@fault
def zeros(ask: Ask) -> Iterator[bytes]:
    """Sends zeros from a place on."""
    rest = len(ask.content) - ask.at
    yield from body(ask.content[: ask.at] + bytes(rest), 'ETag: "1"')


@fault
def flip(ask: Ask) -> Iterator[bytes]:
    """Flips a bit."""
    yield from body(flipped(ask.content, ask.at), 'ETag: "1"')


@fault
def more(ask: Ask) -> Iterator[bytes]:
    """Adds bytes."""
    yield from body(ask.content + ask.content[: ask.at + 1])


@fault
def less(ask: Ask) -> Iterator[bytes]:
    """Leaves out bytes."""
    yield from body(ask.content[: ask.at] + ask.content[ask.at + 100 :])


@fault
def other_zip(ask: Ask) -> Iterator[bytes]:
    """Sends another zip."""
    yield from body(b"PK\x05\x06" + bytes(18))


# ---- the server


@dataclass
class Server:
    """What a server has, and how it answers.

    Attributes:
        url (str): Its root, without a slash at the end.
        files (dict[str, bytes]): Contents by path.
        answers (dict[str, Answer]): Of paths that are not answered soundly.
        at (float): Position of faults, as a part of a file's size.
        random (Random): For what a fault leaves open.
        sent (Callable): Called with the bytes of an answer that were sent so far.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    at: float = 0.0
    random: Random = field(default_factory=Random)
    sent: Callable[[int], object] = lambda count: None
    asked: int = 0

    def answer(self, request: StreamRequestHandler) -> None:
        """Answer one request and hang up."""
        line = request.rfile.readline().decode("latin-1").split(" ")
        headers = {}
        while text := request.rfile.readline().decode("latin-1").strip():
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        if len(line) < 2:
            return
        path = line[1].partition("?")[0]
        content = self.files.get(path, b"")
        at = min(int(self.at * len(content)), max(len(content) - 1, 0))
        ask = Ask(content, headers, self.asked, at, self.random)
        self.asked += 1
        how = self.answers.get(path, sound if content else refused)
        count = 0
        for piece in how(ask):
            for start in range(0, len(piece), 4096):
                request.wfile.write(piece[start : start + 4096])
                count += len(piece[start : start + 4096])
                self.sent(count)


@contextmanager
def serve() -> Iterator[Server]:
    """A server on a free port of this machine, until the block ends."""
    state = Server()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the other side may hang up
                state.answer(self)

    class Threads(ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Threads(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield state
        server.shutdown()
        thread.join()
