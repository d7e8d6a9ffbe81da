"""Fetch a file over HTTP: resumed, checked, once per machine."""

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.dist import barrier, is_distributed
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

TIMEOUT = 30  # seconds without an answer or a byte
ATTEMPTS = 5  # a transfer that breaks off is resumed at once, so many times in all
CHUNK = 2**20  # bytes
CONSOLE = Console(stderr=True, highlight=False)  # scripts read paths from stdout


class TransferError(OSError):
    """A URL could not be fetched, or what came is not the file.

    Attributes:
        reason (str): Why, without the URL.
    """

    def __init__(self, url: str, reason: object) -> None:
        super().__init__(f"{url}: {reason}")
        self.reason = str(reason)


class BrokenTransferError(TransferError):
    """A transfer that had begun and is worth another attempt."""


def download(url: str, file: Path, *, sha256_prefix: str | None = None) -> None:
    """Fetch a URL to a file, unless the file is there already.

    What has come so far is kept as ``<file>.part`` and resumed by the next call. A lock
    lets one process at a time write it. In a distributed run local rank 0 fetches, the
    others wait: all ranks have to call this.

    Args:
        url (str): An http(s) URL. Proxies are taken from the environment.
        file (Path): Where to put it; folders are made.
        sha256_prefix (str, optional): First hexadecimal digits of the file's SHA-256.

    Raises:
        TransferError: If the server cannot be reached or refuses, what came is a web
            page or has another SHA-256, or ``MMSWINV2_OFFLINE`` is set.
        OSError: If the file cannot be written.
    """
    once_per_machine(lambda: retrieve(url, file, sha256_prefix=sha256_prefix))
    if not file.exists():
        raise FileNotFoundError(
            f"{file} is not there: local rank 0 could not fetch it, see its message"
        )


def once_per_machine(work: Callable[[], object]) -> None:
    """Let local rank 0 do some work, and all ranks go on when it has ended.

    Args:
        work (Callable): Called by local rank 0, or by a process that is alone. What it
            raises is raised there, after the others have been let go.
    """
    failure = None
    # mmengine sets LOCAL_RANK with all of its launchers
    if not is_distributed() or os.environ.get("LOCAL_RANK", "0") == "0":
        try:
            work()
        except Exception as error:
            failure = error
    barrier()
    if failure is not None:
        raise failure


def retrieve(url: str, file: Path, *, sha256_prefix: str | None = None) -> None:
    """As :func:`download`, in this process and no other."""
    if file.exists():
        return
    if os.environ.get("MMSWINV2_OFFLINE", "0") not in ("", "0"):
        raise TransferError(url, "not tried, MMSWINV2_OFFLINE is set")
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file.with_name(f".{file.name}.lock"))
    try:
        lock.acquire(timeout=1)
    except Timeout:
        CONSOLE.print(f"waiting for another process that fetches {file}", markup=False)
        lock.acquire()
    try:
        if file.exists():  # that process was successful
            return
        part = file.with_name(f"{file.name}.part")
        _transfer(url, part)
        found = _sha256(part) if sha256_prefix else ""
        if sha256_prefix and not found.startswith(sha256_prefix):
            part.unlink()
            raise TransferError(
                url,
                f"its SHA-256 is {found[:16]}..., expected {sha256_prefix}...; it was "
                "damaged on its way or replaced",
            )
        part.replace(file)
        _validator_file(part).unlink(missing_ok=True)
    finally:
        lock.release()


def _transfer(url: str, part: Path) -> None:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=CONSOLE) as progress:
        bar = progress.add_task(part.stem, total=None, visible=False)
        for attempt in range(ATTEMPTS):
            try:
                return _transfer_once(url, part, progress, bar)
            except BrokenTransferError:
                if attempt == ATTEMPTS - 1:
                    raise


def _transfer_once(url: str, part: Path, progress: Progress, bar: TaskID) -> None:
    """Ask for what is missing of a file and append it.

    Raises:
        TransferError: As :func:`download`.
    """
    validator = _validator_file(part)
    start = part.stat().st_size if part.exists() and validator.exists() else 0
    headers = {"User-Agent": "mmswinv2", "Accept-Encoding": "identity"}
    if start:  # If-Range: of a file that has changed, all of it is sent
        headers |= {"Range": f"bytes={start}-", "If-Range": validator.read_text()}
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        )
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            if _content_range(error.headers)[1] == start:  # it was complete
                return
            part.unlink()
            raise BrokenTransferError(url, f"HTTP 416 {error.reason}") from error
        raise TransferError(url, f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise TransferError(url, getattr(error, "reason", error)) from error

    with response:
        chunk = _read(url, response)
        first, total = _content_range(response.headers)
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            length = response.headers["Content-Length"]
            first, total = 0, int(length) if length else None
            if not chunk:
                raise BrokenTransferError(url, "the answer is empty")
            if chunk.lstrip().startswith(b"<"):
                raise TransferError(
                    url, "the answer is a web page; is a proxy or a login in between?"
                )
            part.unlink(missing_ok=True)  # before the new version is noted
            _note_validator(response.headers, validator)
        elif first != start:
            part.unlink(missing_ok=True)
            raise BrokenTransferError(url, f"asked for byte {start}, got {first}")
        progress.update(bar, total=total, completed=first, visible=True)
        with part.open("ab") as stream:
            while chunk:
                stream.write(chunk)
                progress.update(bar, advance=len(chunk))
                chunk = _read(url, response)
    size = part.stat().st_size
    if total is not None and size != total:
        raise BrokenTransferError(url, f"broke off after {size:,} of {total:,} bytes")


def _read(url: str, response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise BrokenTransferError(url, f"broke off ({error})") from error


def _content_range(headers: Message) -> tuple[int | None, int | None]:
    """First byte and size of the whole file of a ``Content-Range`` header."""
    pattern = r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)"
    match = re.fullmatch(pattern, headers.get("Content-Range", ""))
    first, total = match.groups() if match else (None, None)
    return first and int(first), total and int(total)


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.validator")


def _note_validator(headers: Message, file: Path) -> None:
    """Keep what tells versions of a file apart; without it a part is not resumed."""
    tag = headers.get("ETag", "")
    strong = tag if tag.startswith('"') else headers.get("Last-Modified")
    if strong:
        file.write_text(strong)
    else:
        file.unlink(missing_ok=True)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
