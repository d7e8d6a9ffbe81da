"""URLs of checkpoints: their parts, what messages show of them, names in the cache."""

import hashlib
import re
from urllib.parse import SplitResult, unquote, urlsplit

_LONGEST_NAME = (
    100  # bytes; file systems take 255, of which suffixes and locks need some
)


def is_url(name: str) -> bool:
    """Whether a checkpoint is given by a URL that can be fetched."""
    return bool(re.match("https?://", name, re.IGNORECASE))


def split_url(url: str) -> SplitResult:
    """The parts of a URL.

    Raises:
        ValueError: If it is none of http(s) with a host. The URL, which may have
            secrets in it, is not in the message.
    """
    try:
        parts = urlsplit(url)
        valid = is_url(url) and parts.hostname and parts.port != 0
    except ValueError:  # of a bad port or a bad address in brackets
        valid = False
    if not valid:
        raise ValueError("is no http(s) URL with a host and a path") from None
    return parts


def shown(name: str) -> str:
    """A checkpoint's name for messages: a URL without what may be secret in it.

    User, password and query are left out. Of other names, such as files, only what
    looks like ``user:password@`` is.
    """
    if not is_url(name):
        return re.sub(r"[^/@\s]+:[^@\s]*@", "...@", name)
    try:
        parts = split_url(name)
    except ValueError:
        return f"{name[: name.index('://')]}://..."
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path}{'?...' * bool(parts.query)}"


def cache_name(url: str) -> str:
    """The name of a URL's file in the cache, which no other URL has.

    Raises:
        ValueError: If it is no URL, or its path does not end in a name.
    """
    name = unquote(split_url(url).path).rpartition("/")[2]
    name = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[-_LONGEST_NAME:]
    if not name.strip("._"):
        raise ValueError("names no file; its path has to end in one, as /weights.pth")
    digest = hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()
    return f"{digest[:16]}-{name}"


def published_name(name: str) -> str:
    """The last part of a path or URL as its publisher wrote it."""
    path = split_url(name).path if is_url(name) else name
    return re.sub("^[0-9a-f]{16}-", "", re.split(r"[/\\]", path)[-1])
