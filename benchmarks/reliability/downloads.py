"""Checkpoints of URLs and names, from servers, caches and settings with faults.

A case goes well if the weights that are loaded in the end are those that the server
has, or if loading is refused with a sentence. Names have a second server, which is
sound: they have to load. After every case the fault is taken away: then all have to
load, from the server and, when that is gone, from the cache. Passwords and tokens of a
URL may appear nowhere.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
from isolation import Isolation
from outcomes import Kind, Outcome, refusal
from safetensors.torch import save as safetensors
from web_faults import FAULTS, Server, flipped, refused, serve

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.checkpoints import connection, read_checkpoint, transfer, zoo
from mmswinv2.checkpoints.download import cache_folder
from mmswinv2.checkpoints.urls import cache_name
from mmswinv2.checkpoints.zoo_entries import Mirror
from mmswinv2.models import SwinTransformerV2

COUNT = 343
SECRET = "hunter2"
_SETTINGS = ("MMSWINV2_HOME", "MMSWINV2_OFFLINE", "HF_ENDPOINT", "http_proxy")
_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Case:
    """A fault and all that it depends on.

    Attributes:
        fault (str): A key of one of the tables of faults.
        named (bool): Whether the weights are those of a name, not of a URL.
        suffix (str): Of the file.
        part (str): What an earlier download has left, a key of :data:`PARTS`.
        seed (str): Of everything else.
    """

    fault: str
    named: bool
    suffix: str
    part: str
    seed: str

    def __str__(self) -> str:
        kind = "name" if self.named else "URL"
        return f"{self.fault}; {kind}, {self.suffix}, part: {self.part}, {self.seed}"


# What an earlier download has left: part, its note.
PARTS: dict[str, Callable[[bytes, int], tuple[bytes | None, bytes | None]]] = {
    "none": lambda content, at: (None, None),
    "the beginning": lambda content, at: (content[:at], b'"1"'),
    "of another version": lambda content, at: (b"PK" + bytes(at), b'"0"'),
    "damaged": lambda content, at: (b"PK" + bytes(at), b'"1"'),
    "all of it": lambda content, at: (content, b'"1"'),
    "too much": lambda content, at: (content + b"x" * (at + 1), b'"1"'),
    "with a note of junk": lambda content, at: (content[:at], b"\xff\r\nX: y\x00"),
    "without its note": lambda content, at: (content[:at], None),
    "its note alone": lambda content, at: (None, b'"1"'),
}

# What lies in the cache under the name of the file.
CACHED: dict[str, Callable[[bytes, int], bytes]] = {
    "cache: empty file": lambda content, at: b"",
    "cache: cut file": lambda content, at: content[:at],
    "cache: zeros at the end": lambda content, at: (
        content[:at] + bytes(len(content) - at)
    ),
    "cache: flipped bit": flipped,
    "cache: page": lambda content, at: b"<html>",
}

SETTINGS: dict[str, dict[str, str]] = {
    "setting: hub is no URL": {"HF_ENDPOINT": "not a url"},
    "setting: hub is a file": {"HF_ENDPOINT": "file:///etc"},
    "setting: hub without a host": {"HF_ENDPOINT": f"http://u:{SECRET}@"},
    "setting: hub with an odd port": {"HF_ENDPOINT": f"http://u:{SECRET}@h:x"},
    "setting: hub with controls": {"HF_ENDPOINT": "http://127.0.0.1:1/\x01\n\n"},
    "setting: proxy is no URL": {"http_proxy": "not a url"},
    "setting: proxy is off": {"http_proxy": f"http://u:{SECRET}@127.0.0.1:1"},
    "setting: offline": {"MMSWINV2_OFFLINE": "1"},
    "setting: cache is a file": {"MMSWINV2_HOME": "{folder}/file"},
    "setting: cache of a long name": {"MMSWINV2_HOME": "{folder}/" + "x" * 300},
}

SLOW = ("server: says nothing", "server: trickles")  # shorter time-outs for these
OTHERS = (
    "disk: full",
    "cache: folder in its place",
    "cache: link to nowhere",
    "urls: same last part",
    "killed while it comes",
    "killed when it has come",
)


def outcomes(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Outcomes of some cases, all faults in turn."""
    faults = [*FAULTS, *CACHED, *SETTINGS, *OTHERS]
    with Isolation(seconds=60) as isolated:
        for number in range(count):
            random = Random(f"{seed} {number}")
            fault = faults[number % len(faults)]
            case = Case(
                fault=fault,
                named="hub" in fault or random.random() < 0.5,
                suffix=random.choice((".pth", ".pth", ".safetensors")),
                part=random.choice([*PARTS]),
                seed=f"{seed} {number}",
            )
            place = folder / str(number)
            place.mkdir()
            yield isolated(run, case, place, case=str(case))


def run(case: Case, folder: Path) -> Outcome:
    """The outcome of one case."""
    random = Random(case.seed)
    slow = case.fault in SLOW
    connection.TIMEOUT, connection.WINDOW = (1, 0.5) if slow else (30, 60)
    transfer.ATTEMPTS, transfer.CHUNK = 3, 2**14
    os.environ |= dict(no_proxy="", MMSWINV2_HOME=str(folder))
    said = io.StringIO()
    with serve() as server, contextlib.redirect_stderr(said):
        server.at, server.random = random.random(), random
        test = _Test(case, server, random)
        outcome = test.under_fault(folder)
        test.take_fault_away(folder)
        connection.TIMEOUT, connection.WINDOW = 30, 60
        if outcome.kind in (Kind.UNTOLD, Kind.SILENT):  # kept, as nothing tells it
            return outcome
        assert test.loads(), f"{case}: no longer loads from a sound server"
        server.answers = dict.fromkeys(server.files, refused)
        assert test.loads(), f"{case}: not kept, after {outcome}"
    names = " ".join(str(path) for path in folder.rglob("*"))
    for text in (outcome.detail, said.getvalue(), names):
        assert SECRET not in text, f"{case}: {text}"
    return outcome


class _Test:
    """The weights of a case on a server, and their places in the cache."""

    def __init__(self, case: Case, server: Server, random: Random) -> None:
        self.case, self.server, self.random = case, server, random
        self.first, self.second = f"/a/w{case.suffix}", f"/b/w{case.suffix}"
        if case.named:
            torch.manual_seed(random.randrange(2**31))
            self.weights = SwinTransformerV2("nano").state_dict()
        else:
            generator = torch.Generator().manual_seed(random.randrange(2**31))
            self.weights = {"w": torch.rand(50, 100, generator=generator)}
        self.content = self.written(self.weights)
        server.files |= dict.fromkeys((self.first, self.second), self.content)
        self.at = int(server.at * (len(self.content) - 1))
        root = _HUB if case.fault.startswith("setting: hub") else server.url
        self.entry = replace(
            zoo.find_entry("tiny-w8-256"),
            architecture=ARCHITECTURES["nano"],
            mirrors=tuple(
                Mirror("host", place + path, name)
                for place, path, name in (
                    (root, self.first, f"a{case.suffix}"),
                    (server.url, self.second, f"b{case.suffix}"),
                )
            ),
        )
        host = server.url.replace("//", f"//user:{SECRET}@")
        self.url = f"{host}{self.first}?token={SECRET}"

    def written(self, weights: dict[str, torch.Tensor]) -> bytes:
        if self.case.suffix == ".safetensors":
            return safetensors(weights)
        content = io.BytesIO()
        torch.save(weights, content)
        return content.getvalue()

    @property
    def file(self) -> Path:
        """In the cache."""
        name = self.entry.mirrors[0].file if self.case.named else cache_name(self.url)
        return cache_folder() / name

    def loaded(self) -> dict[str, torch.Tensor]:
        found = (
            zoo.read(self.entry)[1] if self.case.named else read_checkpoint(self.url)
        )
        return found.get("state_dict", found)

    def loads(self) -> bool:
        return _same(self.loaded(), self.weights)

    def under_fault(self, folder: Path) -> Outcome:
        """What becomes of loading while there is the fault."""
        fault = self.case.fault
        self.take_fault_away(folder)
        self.prepare(folder)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            if fault == "disk: full":  # as far as one process can see
                resource.setrlimit(resource.RLIMIT_FSIZE, (self.at // 2, limits[1]))
            found = self.loaded()
        except Exception as error:
            outcome = refusal(error, str(self.case))
            mirror_alone = fault in FAULTS or "hub" in fault
            if outcome.kind.good and self.case.named and mirror_alone:
                raise AssertionError(f"stopped all servers: {error}") from error
            return outcome
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        if _same(found, self.weights):
            return Outcome(Kind.RIGHT, str(self.case))
        unchecked = (
            self.case.suffix == ".safetensors"
        )  # published ones have no checksum
        kind = Kind.UNTOLD if unchecked else Kind.SILENT
        return Outcome(kind, str(self.case))

    def prepare(self, folder: Path) -> None:
        """Bring about the fault."""
        fault, file = self.case.fault, self.file
        file.parent.mkdir(parents=True, exist_ok=True)
        part, note = PARTS[self.case.part](self.content, self.at)
        beside = file.with_suffix(f".part{file.suffix}")
        for place, content in ((beside, part), (f"{beside}.validator", note)):
            if content is not None:
                Path(place).write_bytes(content)
        if fault in FAULTS:
            self.server.answers[self.first] = FAULTS[fault]
        elif fault in CACHED:
            file.write_bytes(CACHED[fault](self.content, self.at))
        elif fault in SETTINGS:
            (folder / "file").touch()
            for name, value in SETTINGS[fault].items():
                os.environ[name] = value.format(folder=folder)
        elif fault == "cache: folder in its place":
            (file / "x").mkdir(parents=True)
        elif fault == "cache: link to nowhere":
            file.symlink_to(folder / "nowhere")
        elif fault == "urls: same last part":
            path = f"/c/w{self.case.suffix}"
            self.server.files[path] = self.written({"w": torch.zeros(3)})
            read_checkpoint(self.server.url + path)
        elif fault.startswith("killed"):
            self.kill()

    def kill(self) -> None:
        """End a process that loads, at some byte that comes or soon after the last."""
        begun = threading.Event()
        goal = self.at if "while" in self.case.fault else len(self.content)

        def sent(count: int) -> None:
            begun.wait()
            if count >= goal:
                time.sleep(self.random.random() * 0.02 * (goal > self.at))
                os.kill(process, signal.SIGKILL)

        self.server.sent = sent
        process = os.fork()
        if process == 0:
            signal.alarm(20)
            with contextlib.suppress(BaseException):
                self.loaded()
            os._exit(0)
        begun.set()
        os.waitpid(process, 0)
        self.server.sent = lambda count: None

    def take_fault_away(self, folder: Path) -> None:
        for name in _SETTINGS:
            os.environ.pop(name, None)
        os.environ["MMSWINV2_HOME"] = str(folder)
        self.server.answers.clear()
        if self.file.is_dir():
            shutil.rmtree(self.file)
        if self.file.is_symlink():
            self.file.unlink()


def _same(found: dict[str, torch.Tensor], weights: dict[str, torch.Tensor]) -> bool:
    found = {name.removeprefix("backbone."): value for name, value in found.items()}
    return all(
        name in found and torch.equal(found[name], weights[name]) for name in weights
    )
