"""A local server of files with the faults that real ones have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class FileServer:
    """What the server sends, and what it was asked for.

    Attributes:
        url (str): Its root, without a slash at the end.
        files (dict[str, bytes]): Contents by path.
        etag (str): Version of all files; '' sends no such header.
        ranges (bool): Whether it knows ``Range``.
        break_after (int, optional): Bytes of an answer after which it hangs up.
        answers (dict[str, Callable]): By path, what gives all bytes of an answer, from
            its status on, in place of a file; it may take its time.
        requests (list): Path and headers of every request.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str = '"1"'
    ranges: bool = True
    break_after: int | None = None
    answers: dict[str, Callable[[], Iterable[bytes]]] = field(default_factory=dict)
    requests: list[tuple[str, dict]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a GET."""
        headers = dict(request.headers)
        self.requests.append((request.path, headers))
        if request.path in self.answers:
            with suppress(OSError):  # the other side may hang up
                for piece in self.answers[request.path]():
                    request.wfile.write(piece)
            return
        content = self.files.get(request.path)
        if content is None:
            request.send_error(404)
            return
        start, total = 0, len(content)
        wanted = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
        if wanted and self.ranges and headers.get("If-Range", self.etag) == self.etag:
            start = int(wanted[1])
            if start >= total:
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{total}")
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            request.send_response(200)
        request.send_header("Content-Length", str(total - start))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        request.wfile.write(content[start:][: self.break_after])


@contextmanager
def serve() -> Iterator[FileServer]:
    """A server on a free port of this machine, until the block ends."""
    state = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield state
        server.shutdown()
        thread.join()
