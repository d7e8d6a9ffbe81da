"""The site: built strictly, whole by itself, and searched in a real browser."""

import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from playwright.sync_api import Browser, expect, sync_playwright
from tiny import ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
IN_REPOSITORY = ("https://github.com/mmswinv2/mmswinv2/blob/main/",)
IN_REPOSITORY += ("https://github.com/mmswinv2/mmswinv2/tree/main/",)
LOADED = ("img", "script", "source", "iframe")
# What a user pastes, and the words of the entry that it must find first.
ERRORS = {
    "KeyError: 'SwinTransformerV2 is not in the mmdet::model registry. Please check "
    "whether the value of `SwinTransformerV2` is correct'": "KeyError",
    "AssertionError: MMCV==2.2.0 is used but incompatible. Please install "
    "mmcv>=2.0.0rc4, <2.2.0.": "MMCV==2.2.0",
    "size mismatch for backbone.layers.0.blocks.1.attn.relative_position_index: copying"
    " a param with shape torch.Size([64, 64])": "size mismatch",
    "RuntimeError: CUDA error: device-side assert triggered": "device-side assert",
}


class Document(HTMLParser):
    """Anchors of a page, what it links to, and what it loads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids, self.links, self.loads = set(), set(), set()
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(attrs)
        self.ids |= {given.get("id"), given.get("name")}
        loads = tag in LOADED or (tag == "link" and "stylesheet" in given["rel"])
        target = given.get("src") or given.get("href")
        if target and tag in (*LOADED, "link", "a"):
            (self.loads if loads else self.links).add(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with a warning as an error; griffe's of docstrings are warnings too."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


@pytest.fixture(scope="module")
def documents(site: Path) -> dict[Path, Document]:
    return {file: Document(file) for file in site.rglob("*.html")}


def test_a_page_of_every_file_of_the_documentation(site: Path) -> None:
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.stem != "index"]
    for path in pages:
        place = path.relative_to(ROOT / "docs").with_suffix("")
        assert (site / place / "index.html").is_file(), place


def test_nothing_is_loaded_from_elsewhere(documents: dict[Path, Document]) -> None:
    for file, document in documents.items():
        assert not [link for link in document.loads if "//" in link], file


def test_every_link_inside_of_the_site_leads_somewhere(
    site: Path, documents: dict[Path, Document]
) -> None:
    for file, document in documents.items():
        if file.name == "404.html":  # its links begin at the site's address
            continue
        for link in document.links | document.loads:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (file.parent / unquote(parts.path)).resolve()
            target = target / "index.html" if target.is_dir() else target
            target = target if parts.path else file
            assert target.is_file(), f"{link} in {file}"
            if parts.fragment and target.suffix == ".html":
                known = documents[site / target.relative_to(site.resolve())].ids
                assert unquote(parts.fragment) in known, f"{link} in {file}"


def test_every_link_into_the_repository_leads_to_a_file(
    documents: dict[Path, Document],
) -> None:
    links = {link for document in documents.values() for link in document.links}
    into = [link for link in links if link.startswith(IN_REPOSITORY)]
    assert len(into) > 100
    for link in into:
        assert (ROOT / urlsplit(link).path.split("/", 5)[5]).exists(), link


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"no browser; expected one of {', '.join(BROWSERS)}"
        )
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site, served by a thread of this process."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.mark.parametrize("error", ERRORS)
def test_the_pasted_text_of_an_error_finds_its_entry(
    error: str, browser: Browser, address: str
) -> None:
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    box = page.locator("[data-md-component=search-query]")
    box.focus()
    page.keyboard.insert_text(error)
    page.keyboard.press("End")  # a key that goes up, as one does after pasting
    # The first result is the page, the second its entry that fits best.
    first = page.locator(".md-search-result__link").nth(1)
    expect(first).to_contain_text(ERRORS[error], timeout=60_000)
    assert "/faq/" in first.get_attribute("href")
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)
    page.close()


@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_is_wider_than_the_screen(
    width: int, browser: Browser, address: str
) -> None:
    page = browser.new_page(viewport=dict(width=width, height=900))
    for place in ("", "model_zoo/", "faq/", "api/backbone/", "benchmarks/"):
        page.goto(address + place)
        assert page.evaluate("document.documentElement.scrollWidth") == width, place
    page.close()
