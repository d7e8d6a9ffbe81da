import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from file_server import serve

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.checkpoints import download
from mmswinv2.checkpoints.download import cache_folder
from mmswinv2.checkpoints.zoo import entry_of_file, fetch, find_cached, find_entry
from mmswinv2.checkpoints.zoo_entries import ENTRIES, Mirror
from mmswinv2.models import SwinTransformerV2

MIRRORS = [mirror for entry in ENTRIES for mirror in entry.mirrors]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    for name in ("MMSWINV2_OFFLINE", "XDG_CACHE_HOME", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MMSWINV2_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home" / "weights"


@pytest.fixture
def server():
    with serve() as server:
        yield server


@pytest.fixture
def entry(server):
    """Weights at three mirrors of the local server, none of which has them yet."""
    mirrors = tuple(Mirror("host", f"{server.url}/{n}", f"{n}.pth") for n in "abc")
    nano = ARCHITECTURES["nano"]
    tiny = find_entry("tiny-w8-256")
    return replace(tiny, name="test", mirrors=mirrors, architecture=nano)


def saved(arch):
    """A file of weights that a mirror may have."""
    tensors = SwinTransformerV2(arch).state_dict()
    content = io.BytesIO()
    torch.save({"model": tensors}, content)
    return content.getvalue()


WEIGHTS = saved("nano")


# ---- the table


def test_names_and_files_are_unique():
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    assert len({mirror.file for mirror in MIRRORS}) == len(MIRRORS)
    assert len({mirror.url for mirror in MIRRORS}) == len(MIRRORS)


def test_every_family_is_there():
    """12 supervised files, and 63 SimMIM runs with a fine-tuned model each."""
    simmim = [entry for entry in ENTRIES if "simmim" in entry.name]
    assert len(ENTRIES) - len(simmim) == 12
    assert sum(entry.classes == 0 for entry in simmim) == 63
    assert sum(entry.classes == 1000 for entry in simmim) == 63
    assert all(len(entry.mirrors) == 3 - 2 * (entry in simmim) for entry in ENTRIES)


def test_urls_are_well_formed():
    for mirror in MIRRORS:
        name = r"[\w.-]+\.(pth|safetensors)"
        assert re.fullmatch(rf"https://[\w.-]+(/[\w.-]+)+/{name}", mirror.url)
        assert re.fullmatch(name, mirror.file)
        assert Path(mirror.url).suffix == Path(mirror.file).suffix
        assert (mirror.host == "OpenMMLab") == (mirror.sha256_prefix is not None)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_facts_agree_with_each_other(entry):
    size, window = re.match(r"(\w+)-w(?:12to)?(\d+)-", entry.name).groups()
    assert entry.architecture == ARCHITECTURES[size] or "simmim" in entry.name
    assert entry.architecture.depths[2] in (6, 18)
    heads = entry.architecture.num_heads  # of 32 channels, twice as many in each stage
    assert heads == tuple(entry.architecture.embed_dims // 32 * n for n in (1, 2, 4, 8))
    assert str(entry.image_size) in entry.name.split("-")
    assert (entry.top1 is None) == (entry.classes != 1000)
    assert entry.top1 is None or 80 < entry.top1 < 90
    assert (entry.loss is None) == (entry.classes != 0)
    assert entry.loss is None or 0.4 < entry.loss < 0.6
    # stage by stage: a window fits its map, and the last stage's map is the smallest
    pixels = [entry.image_size // 2**stage for stage in range(2, 6)]
    for (used, normaliser), tokens in zip(entry.windows, pixels, strict=True):
        assert used == (min(int(window), tokens),) * 2
        assert 6 <= normaliser[0] <= used[0]
    # fine-tuning keeps the normaliser of the pre-training
    tuned = "ft1k" in entry.name
    assert all(used != normaliser for used, normaliser in entry.windows) == tuned


@pytest.mark.parametrize("size", ["tiny", "small", "base", "large", "huge", "giant"])
def test_number_of_parameters(size):
    entry = next(e for e in reversed(ENTRIES) if e.name.startswith(size))
    with torch.device("meta"):
        model = SwinTransformerV2(**vars(entry.architecture))
    ours = [model.norm0, model.norm1, model.norm2]
    count = sum(p.numel() for p in model.parameters())
    count -= sum(p.numel() for norm in ours for p in norm.parameters())
    assert count / 1e6 == pytest.approx(entry.params, abs=0.06)


@pytest.mark.parametrize(
    ("name", "windows", "normaliser"),
    [
        ("tiny-w16-256", [16, 16, 16, 8], [16, 16, 16, 8]),
        ("large-w12-192-22k", [12, 12, 12, 6], [12, 12, 12, 6]),
        ("base-w12to16-256-22k-ft1k", [16, 16, 16, 8], [12, 12, 12, 6]),
        ("base-w12to24-384-22k-ft1k", [24, 24, 24, 12], [12, 12, 12, 6]),
        ("base-w12-192-simmim-22k-500k", [12, 12, 12, 6], [12, 12, 12, 6]),
        ("giant-w14-224-simmim-1k-125k-ft1k", [14, 14, 14, 7], [12, 12, 12, 6]),
    ],
)
def test_windows(name, windows, normaliser):
    expected = [((w, w), (n, n)) for w, n in zip(windows, normaliser)]
    assert find_entry(name).windows == expected


# ---- names


def test_names_work_with_and_without_the_scheme():
    assert find_entry("swinv2://tiny-w8-256") is find_entry("tiny-w8-256")


def test_an_unknown_name_gets_close_ones():
    with pytest.raises(ValueError, match="did you mean swinv2://tiny-w8-256"):
        find_entry("swinv2://tiny-w8")
    with pytest.raises(ValueError, match=r"swinv2://: 'python|called swinv2://\?\?;"):
        find_entry("swinv2://??")


def test_files_tell_their_entry(tmp_path):
    for entry in ENTRIES:
        for file in (mirror.file for mirror in entry.mirrors):
            assert entry_of_file(file) is entry
            assert entry_of_file(tmp_path / file) is entry
            assert entry_of_file(f"https://host/{file}?download=true/x.pth") is entry
            assert entry_of_file(f"0123456789abcdef-{file}") is entry


def test_other_files_tell_nothing():
    assert entry_of_file("epoch_1.pth") is None
    assert entry_of_file("model.safetensors") is None
    known = MIRRORS[0].file
    assert entry_of_file(f"https://host/epoch_1.pth?name=/{known}") is None


# ---- fetching


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"MMSWINV2_HOME": "/a", "XDG_CACHE_HOME": "/b"}, "/a/weights"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/mmswinv2/weights"),
        ({"HOME": "/c"}, "/c/.cache/mmswinv2/weights"),
        ({"HOME": "/c", "MMSWINV2_HOME": "~/d"}, "/c/d/weights"),
    ],
)
def test_cache_folder(monkeypatch, variables, folder):
    monkeypatch.delenv("MMSWINV2_HOME")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)


def test_the_first_mirror_that_has_it_is_taken(server, entry, cache):
    server.files |= {"/b": WEIGHTS, "/c": WEIGHTS}
    assert find_cached(entry) is None
    assert fetch(entry) == cache / "b.pth" == find_cached(entry)
    assert (cache / "b.pth").read_bytes() == WEIGHTS
    assert fetch(entry) == cache / "b.pth"
    assert [path for path, _ in server.requests] == ["/a", "/b"]


def test_a_file_of_any_mirror_that_is_there_is_taken(server, entry, cache):
    cache.mkdir(parents=True)
    (cache / "c.pth").write_bytes(WEIGHTS)
    assert fetch(entry) == cache / "c.pth"
    assert not server.requests


def test_a_damaged_mirror_is_passed_over(server, entry, cache):
    """By the digits in OpenMMLab's file names, or because other weights come."""
    good = f"good-{hashlib.sha256(WEIGHTS).hexdigest()[:8]}.pth"
    files = ["bad-01234567.pth", "other.pth", good]
    other = io.BytesIO()
    torch.save({"layer1.0.conv1.weight": torch.ones(1)}, other)
    server.files |= {"/a": WEIGHTS, "/b": other.getvalue(), "/c": WEIGHTS}
    mirrors = [replace(m, file=file) for m, file in zip(entry.mirrors, files)]
    assert fetch(replace(entry, mirrors=tuple(mirrors))) == cache / good


@pytest.mark.parametrize("content", [b"", b"<html>", WEIGHTS[:-100], saved("tiny")])
def test_a_bad_file_in_the_cache_is_moved_aside(server, entry, cache, content):
    """Before the files of other mirrors are, which are taken if they are there."""
    server.files["/b"] = WEIGHTS
    cache.mkdir(parents=True)
    (cache / "a.pth").write_bytes(content)
    assert fetch(entry) == cache / "b.pth"
    assert (cache / "a.pth.bad").read_bytes() == content
    (cache / "b.pth").write_bytes(content)
    (cache / "c.pth").write_bytes(WEIGHTS)
    assert fetch(entry) == cache / "c.pth"
    assert find_cached(entry) == cache / "c.pth"


def test_no_mirror(server, entry, cache):
    """The message names each file, why it did not come, and where to put it."""
    server.files["/b"] = b"<html>"
    with pytest.raises(ValueError, match="swinv2://test could not be") as error:
        fetch(entry)
    message = str(error.value)
    assert f"into {cache} (MMSWINV2_HOME" in message
    assert f"{server.url}/a as a.pth (HTTP 404 Not Found)" in message
    assert f"{server.url}/b as b.pth (the answer is a web page" in message
    assert f"{server.url}/c as c.pth (HTTP 404 Not Found)" in message
    assert find_cached(entry) is None


def test_offline(server, entry, cache, monkeypatch):
    server.files["/a"] = WEIGHTS
    monkeypatch.setenv("MMSWINV2_OFFLINE", "1")
    with pytest.raises(ValueError, match=r"as a\.pth \(not tried, MMSWINV2_OFFLINE"):
        fetch(entry)
    assert not server.requests
    monkeypatch.setenv("MMSWINV2_OFFLINE", "0")
    assert fetch(entry) == cache / "a.pth"


def test_a_cache_that_cannot_be_written_is_no_fault_of_a_mirror(server, entry, cache):
    server.files["/a"] = WEIGHTS
    cache.parent.write_bytes(b"a file where the folder should be")
    with pytest.raises(RuntimeError, match=f"cannot be kept in {cache}"):
        fetch(entry)
    assert not server.requests


@pytest.mark.parametrize("slash", ["", "/", "/\n"])
def test_the_hub_can_be_replaced(server, entry, cache, monkeypatch, slash):
    monkeypatch.setenv("HF_ENDPOINT", server.url + slash)
    hub = "https://huggingface.co"
    server.files["/timm/model"] = WEIGHTS
    mirror = Mirror("timm", f"{hub}/timm/model", "m.pth")
    assert fetch(replace(entry, mirrors=(mirror,))).read_bytes() == WEIGHTS
    moved = [m for m in MIRRORS if m.address != m.url]
    assert moved == [m for m in MIRRORS if m.url.startswith(f"{hub}/")]


@pytest.mark.parametrize(
    "endpoint", ["not a url", "file:///etc", "user:secret@host", "http://u:secret@:x"]
)
def test_a_hub_that_is_no_url_stops_one_mirror(
    server, entry, cache, monkeypatch, endpoint
):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    hub = replace(entry.mirrors[0], url="https://huggingface.co/timm/model")
    both = replace(entry, mirrors=(hub, entry.mirrors[1]))
    with pytest.raises(ValueError, match=r"(?s)is no http\(s\) URL.*HTTP 404") as error:
        fetch(both)
    assert "secret" not in str(error.value)
    server.files["/b"] = WEIGHTS
    assert fetch(both) == cache / "b.pth"


def test_other_ranks_learn_of_a_failure(entry, monkeypatch):
    """They do not fetch; rank 0 has, and there is no file."""
    monkeypatch.setattr(download, "once_per_machine", lambda work: None)
    with pytest.raises(ValueError, match="local rank 0 could not fetch it"):
        fetch(entry)
