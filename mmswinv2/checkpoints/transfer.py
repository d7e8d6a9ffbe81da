"""Bring the bytes of a URL into a file, resumed where they broke off."""

import base64
import http.client
import re
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from urllib.parse import quote, unquote, urlunsplit

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from .connection import BrokenTransferError, TransferError, Watch, open_watched
from .urls import split_url

ATTEMPTS = 5  # a transfer that breaks off is resumed at once, so many times in all
CHUNK = 2**20  # bytes
CONSOLE = Console(stderr=True, highlight=False)  # scripts read paths from stdout
_HEAD = 512  # bytes that tell what a file is
_LONGEST_HEADER = 10**8  # bytes; safetensors' own bound


def transfer(url: str, part: Path) -> None:
    """Fetch what is missing of a file.

    Args:
        url (str): An http(s) URL. Proxies are taken from the environment.
        part (Path): What has come so far, if anything, with a note beside it that
            tells its version. All of it is there when this returns.

    Raises:
        TransferError: If the server cannot be reached, refuses, is too slow, or sends
            what begins like no checkpoint; the part stays for another call.
        OSError: If the file cannot be written.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=CONSOLE) as progress:
        bar = progress.add_task(part.name, total=None, visible=False)
        for attempt in range(ATTEMPTS):
            try:
                with Watch() as watch:
                    return _transfer_once(url, part, progress, bar, watch)
            except BrokenTransferError:
                if attempt == ATTEMPTS - 1:
                    raise


def validator_file(part: Path) -> Path:
    """Where the version of a part is noted."""
    return part.with_name(f"{part.name}.validator")


def _request(url: str) -> urllib.request.Request:
    try:
        parts = split_url(url)
    except ValueError as error:
        raise TransferError(url, error) from error
    place = parts.netloc.rpartition("@")[2]
    path, query = (
        quote(part, safe="/%!$&'()*+,;=:@?~", errors="surrogatepass")
        for part in (parts.path, parts.query)
    )
    address = urlunsplit((parts.scheme, place, path, query, ""))
    headers = {"User-Agent": "mmswinv2", "Accept-Encoding": "identity"}
    request = urllib.request.Request(address, headers=headers)
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        code = base64.b64encode(login.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {code}")
    return request


def _transfer_once(
    url: str, part: Path, progress: Progress, bar: TaskID, watch: Watch
) -> None:
    """Ask for what is missing of a file and append it.

    Raises:
        TransferError: As :func:`transfer`.
    """
    validator = _noted(part)
    start = part.stat().st_size if part.exists() and validator else 0
    request = _request(url)
    if start and validator:  # If-Range: of a file that has changed, all of it is sent
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", validator)
    try:
        response = open_watched(request, watch)
    except TransferError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"HTTP {error.code} {http.client.responses.get(error.code, '')}"
        if 300 <= error.code < 400:
            reason += ", redirected in a circle or to what is no http(s) URL"
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            if _content_range(error.headers)[1] == start:  # it was complete
                return
            part.unlink()
            raise BrokenTransferError(url, reason) from error
        raise TransferError(url, reason.rstrip()) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        watch.check(url)
        raise TransferError(url, _reason(error)) from error

    with response:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.strip().lower() not in ("identity", ""):
            raise TransferError(url, "the answer is compressed, unasked")
        head = _read(url, response, watch)
        first, total = _content_range(response.headers)
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            first, total = 0, _length(response.headers)
            while len(head) < _HEAD and (more := _read(url, response, watch)):
                head += more
            if not head:
                raise BrokenTransferError(url, "the answer is empty")
            if fault := _no_weights(head):
                raise TransferError(url, f"the answer is {fault}")
            part.unlink(missing_ok=True)  # before the new version is noted
            _note_validator(response.headers, part)
        elif first != start:
            part.unlink(missing_ok=True)
            raise BrokenTransferError(url, f"asked for byte {start}, got {first}")
        progress.update(bar, total=total, completed=first, visible=True)
        with part.open("ab") as stream:
            chunk = head
            while chunk:
                stream.write(chunk)
                progress.update(bar, advance=len(chunk))
                chunk = _read(url, response, watch)
    size = part.stat().st_size
    if total is not None and size != total:
        raise BrokenTransferError(url, f"broke off after {size:,} of {total:,} bytes")


def _read(url: str, response: http.client.HTTPResponse, watch: Watch) -> bytes:
    """What has come, or b'' at the end."""
    try:
        chunk = response.read1(CHUNK)
    except (OSError, http.client.HTTPException, ValueError) as error:
        watch.check(url)
        raise BrokenTransferError(url, f"broke off ({_reason(error)})") from error
    watch.check(url)
    watch.received += len(chunk)
    return chunk


def _reason(error: Exception) -> str:
    """In the system's words, but not in those that may quote a URL or the server."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, OSError):
        return str(cause) or type(cause).__name__
    return f"no proper HTTP from the server or a proxy: {type(cause).__name__}"


def _no_weights(head: bytes) -> str:
    """What begins in this way, if no checkpoint does."""
    length = int.from_bytes(head[:8], "little")
    safetensors = head[8:9] == b"{" and length <= _LONGEST_HEADER
    tar = head[257:262] == b"ustar"  # torch before 0.1.10
    if safetensors or tar or head.startswith((b"PK", b"\x80")):
        return ""
    text = head.lstrip()
    if text.startswith(b"<"):
        return "a web page; is a proxy or a login in between?"
    if text.startswith((b"{", b"[")):
        return "JSON, no weights; it may say what is wrong with the URL"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, no weights; the URL of the file itself is needed"
    return f"no checkpoint (it starts with {head[:16]!r})"


def _length(headers: Message) -> int | None:
    match = re.fullmatch("[0-9]{1,18}", headers.get("Content-Length", "").strip())
    return match and int(match[0])


def _content_range(headers: Message) -> tuple[int | None, int | None]:
    """First byte and size of the whole file of a ``Content-Range`` header."""
    number = "([0-9]{1,18})"
    pattern = rf"bytes (?:{number}-[0-9]+|\*)/(?:{number}|\*)"
    match = re.fullmatch(pattern, headers.get("Content-Range", "").strip())
    first, total = match.groups() if match else (None, None)
    return int(first) if first else None, int(total) if total else None


def _note_validator(headers: Message, part: Path) -> None:
    """Keep what tells versions of a file apart; without it a part is not resumed."""
    tag = headers.get("ETag", "")
    strong = tag if tag.startswith('"') else headers.get("Last-Modified")
    file = validator_file(part)
    if strong:
        file.write_text(strong, encoding="utf-8")
    else:
        file.unlink(missing_ok=True)


def _noted(part: Path) -> str | None:
    """The noted version, if it can stand in a header."""
    file = validator_file(part)
    if not file.exists():
        return None
    text = file.read_text(encoding="utf-8", errors="replace")
    return text if re.fullmatch(r"[\x20-\x7e]{1,200}", text) else None
