"""Weights of a few kilobytes, and what of them a local server and a cache have."""

import io

import torch

from mmswinv2.checkpoints.download import Copy, load


def saved(value, **options):
    """A checkpoint of a few kilobytes."""
    content = io.BytesIO()
    torch.save({"w": torch.full((2000,), float(value))}, content, **options)
    return content.getvalue()


CONTENT = saved(1)
SIZE = len(CONTENT)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % SIZE  # of an answer
JSON = b'{"error": "no such model"}'


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
