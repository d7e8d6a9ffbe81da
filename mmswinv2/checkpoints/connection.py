"""Connections to servers that may be slow, broken or hostile."""

import contextlib
import http.client
import socket
import threading
import urllib.request
from types import TracebackType
from typing import Any

from .urls import is_url, shown

TIMEOUT = 30  # seconds without an answer or a byte
WINDOW = 60  # seconds in which LEAST bytes have to come
LEAST = 60 * 2**10


class TransferError(OSError):
    """A URL could not be fetched, or what came is not the file.

    Attributes:
        reason (str): Why, without the URL.
    """

    def __init__(self, url: str, reason: object) -> None:
        super().__init__(f"{shown(url)}: {reason}")
        self.reason = str(reason)


class BrokenTransferError(TransferError):
    """A transfer that had begun and is worth another attempt."""


class Watch:
    """Shuts the connection of a transfer that brings too little, in a thread.

    A time-out of sockets begins anew with every byte, of headers too.

    Attributes:
        received (int): Bytes that have come, counted by who reads them.
        socket (socket.socket, optional): Of the newest connection.
        stalled (bool): Whether it was shut.
    """

    def __init__(self) -> None:
        self.received = 0
        self.stalled = False
        self.socket: socket.socket | None = None
        self._ended = threading.Event()

    def __enter__(self) -> "Watch":
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()

    def check(self, url: str) -> None:
        """Raise BrokenTransferError if the connection was shut."""
        if self.stalled:
            raise BrokenTransferError(
                url, f"stalled: fewer than {LEAST:,} bytes came in {WINDOW:g} s"
            )

    def _run(self) -> None:
        before = 0
        while not self._ended.wait(WINDOW):
            if self.socket is not None and self.received - before < LEAST:
                self.stalled = True
                with contextlib.suppress(OSError):  # closed already
                    self.socket.shutdown(socket.SHUT_RDWR)
            before = self.received


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        request: urllib.request.Request,
        answer: Any,
        code: int,
        message: str,
        headers: Any,
        address: str,
    ) -> urllib.request.Request | None:
        if not is_url(address):  # urllib would go on to ftp://
            raise TransferError(request.full_url, "redirects to what is no http(s) URL")
        return super().redirect_request(
            request, answer, code, message, headers, address
        )


def open_watched(
    request: urllib.request.Request, watch: Watch
) -> http.client.HTTPResponse:
    """As urllib's, for a connection that is watched and leads to the web alone."""

    class Watched(urllib.request.AbstractHTTPHandler):
        def do_open(  # type: ignore[override]  # any request, any connection
            self,
            kind: Any,
            request: urllib.request.Request,
            **options: Any,
        ) -> http.client.HTTPResponse:
            def connection(*args: Any, **kwargs: Any) -> Any:
                made = kind(*args, **kwargs)
                connect = made.connect

                def connect_and_note() -> None:
                    connect()
                    watch.socket = made.sock

                made.connect = connect_and_note
                return made

            return super().do_open(connection, request, **options)

    class Http(Watched, urllib.request.HTTPHandler):
        pass

    class Https(Watched, urllib.request.HTTPSHandler):
        pass

    opener = urllib.request.build_opener(Http, Https, _Redirects)
    return opener.open(request, timeout=TIMEOUT)
