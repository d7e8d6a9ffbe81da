"""The page, looked at and used in a real browser."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio
import pytest
from PIL import Image
from playwright.sync_api import Browser, FileChooser, Page, expect, sync_playwright
from tiny import load_script

from mmswinv2.page import passes

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
Visit = Callable[..., Page]
expect.set_options(timeout=60_000)  # ms, on a machine that does other things too


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests; on the machine that decides, it must be there."""
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
def address(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of ``runs``, served by threads of this process."""
    script = load_script("demo/app.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        words = ["app.py", "--work-dirs", str(runs), "--score-thr", "0"]
        patch.setattr("sys.argv", [*words, "--device", "cpu"])
        yield script.start(script.parse_args())
        gradio.close_all(verbose=False)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The windows of each pass, in the order that they run in."""
    seen = []

    def predict(inferencer: Callable, pixels: object) -> object:
        seen.append(inferencer.model.backbone.window_size)
        return original(inferencer, pixels)

    original = passes.predict
    monkeypatch.setattr(passes, "predict", predict)
    return seen


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    """Opens the page for one more person; nobody's browser asks other hosts."""
    contexts, asked = [], []

    def open_page(**options: object) -> Page:
        contexts.append(browser.new_context(**options))
        contexts[-1].on("request", lambda request: asked.append(request.url))
        page = contexts[-1].new_page()
        page.goto(address)
        expect(page.get_by_label("stage 0").first).to_have_value("8")
        return page

    yield open_page
    for context in contexts:
        context.close()
    own = (address, "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []


def upload(page: Page, path: Path) -> None:
    page.locator("#photo input[type=file]").set_input_files(str(path))


def set_windows(page: Page, value: str, which: int = 0) -> None:
    """Of all stages of A (0) or B (1)."""
    for stage in range(4):
        page.get_by_label(f"stage {stage}").nth(which).fill(value)


def rows(page: Page, table: str) -> list[str]:
    return page.locator(f"{table} tbody tr").all_inner_texts()


def test_windows_are_compared_and_filters_need_no_pass(
    visit: Visit, photo: Path, windows: list[tuple]
) -> None:
    """Upload, another window, two windows, threshold, classes, biases; on a phone."""
    page = visit()
    upload(page, photo)
    costs = page.locator("#costs tbody tr")
    expect(costs).to_contain_text("8 in all stages")
    expect(costs).to_contain_text(re.compile(r"128 px[\d.]+ s\d+ MiB"))
    expect(page.locator("#picture img")).to_be_visible()
    assert windows == [((8, 8),) * 4]

    page.get_by_label("stage 1").first.fill("4x2")
    page.get_by_label("Image scale").fill("64")
    page.get_by_label("Image scale").press("Enter")
    expect(costs).to_contain_text(re.compile(r"8, 4x2, 8, 8short side 64 px"))
    assert windows[1:] == [((8, 8), (4, 2), (8, 8), (8, 8))]

    page.get_by_label("Compare").check()
    set_windows(page, "2", which=1)
    page.get_by_role("button", name="Look").click()
    expect(page.locator("#slider img").first).to_be_visible()
    expect(page.locator("#differs")).to_contain_text(re.compile(r"A finds \d+, B \d+"))
    expect(costs).to_have_count(2)
    assert len(windows) == 4 and windows[3] == ((2, 2),) * 4

    found = page.locator("#found tbody tr")
    many = found.count()
    name = found.first.inner_text().split("\t")[0].strip()
    page.get_by_label("Show these classes").fill(name)
    page.keyboard.press("Enter")
    expect(found).not_to_have_count(many)
    assert {row.split("\t")[0].strip() for row in rows(page, "#found")} == {name}
    page.locator("input[type=range]").first.press("End")
    expect(found).to_have_text(["nothing"])
    assert len(windows) == 4

    # all of it on the width of a phone, without scrolling to the side
    page.set_viewport_size(dict(width=360, height=740))
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("tab", name="Position bias").click()
    expect(page.locator("#biases img")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_segmentor_shows_chosen_classes(
    visit: Visit, photo: Path, windows: list[tuple]
) -> None:
    """Another model is chosen, and what does not belong to it is hidden."""
    page = visit(color_scheme="dark")
    page.get_by_label("Model").click()
    page.get_by_role("option", name="seg").click()
    expect(page.get_by_label("Show objects with a score")).to_have_count(0)
    upload(page, photo)
    found = page.locator("#found tbody tr")
    expect(found.nth(1)).to_be_visible()
    name = rows(page, "#found")[1].split("\t")[0].strip()
    page.get_by_label("Show these classes").fill(name)
    page.keyboard.press("Enter")
    expect(found).to_have_count(1)
    assert rows(page, "#found")[0].split("\t")[0].strip() == name
    assert len(windows) == 1


def test_mistakes_are_told_and_the_page_goes_on(
    visit: Visit, photo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A file that is no picture, a window that is none; each a line in the terminal."""
    page = visit()
    alert = page.get_by_role("alert")
    bad = tmp_path / "<b>bad.jpg"
    bad.write_text("no picture")
    upload(page, bad)
    expect(alert).to_have_text(re.compile(r"bad\.jpg cannot be read as an image"))
    page.locator("#photo").get_by_label("Clear").click()
    expect(alert).to_have_count(0)
    upload(page, photo)
    found = page.locator("#found tbody tr")
    expect(found.first).to_be_visible()
    for value, told in (("0", "expected 1 to 64 tokens"), ("x", "stage 2")):
        page.get_by_label("stage 2").first.fill(value)
        page.get_by_label("stage 2").first.press("Enter")
        expect(alert).to_contain_text(told)
    page.get_by_label("stage 2").first.fill("4")
    page.get_by_role("button", name="Look").click()
    expect(found.first).to_be_visible()
    expect(alert).to_have_count(0)
    lines = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 3


def test_a_large_picture_shows_its_tiles_and_can_be_stopped(
    visit: Visit, tmp_path: Path
) -> None:
    """The others need not wait for all of it."""
    large = tmp_path / "large.png"
    Image.new("RGB", (2000, 1600)).save(large)
    page = visit()
    upload(page, large)
    expect(page.get_by_text(re.compile(r"[1-9]\d*/\d+ tiles")).first).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("alert")).to_have_text("stopped")


def test_two_people_have_windows_of_their_own(
    visit: Visit, photo: Path, windows: list[tuple]
) -> None:
    """They look at once, each sees the own result, and the model stays as it was."""
    people = [visit(), visit()]
    for page, value in zip(people, "24"):
        set_windows(page, value)
    for page in people:
        upload(page, photo)
    for page, value in zip(people, "24"):
        costs = page.locator("#costs tbody tr")
        expect(costs).to_contain_text(f"{value} in all stages")
    assert {((2, 2),) * 4, ((4, 4),) * 4} == {*windows}


def test_all_can_be_done_by_keyboard(
    visit: Visit, photo: Path, windows: list[tuple]
) -> None:
    """From the top: a photo, then a window, then the second one."""
    page = visit()
    # from now on, as the browser hears of it while it goes on
    choosers: list[FileChooser] = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))

    def tab_to(selector: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("s => !!document.activeElement.closest(s)", selector):
                return
        raise AssertionError(f"Tab does not lead to {selector}")

    tab_to("#photo")
    page.keyboard.press("Space")
    for _ in range(600):
        if not choosers:
            page.wait_for_timeout(100)
    choosers[0].set_files(str(photo))
    expect(page.locator("#found tbody tr").first).to_be_visible()
    tab_to(".stages")
    page.keyboard.press("Control+a")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    expect(page.locator("#costs")).to_contain_text("3, 8, 8, 8")
    tab_to("[type=checkbox]")
    page.keyboard.press("Space")
    expect(page.get_by_text("Window B").first).to_be_visible()
    tab_to("button.primary")
    page.keyboard.press("Enter")
    expect(page.locator("#slider img").first).to_be_visible()
    assert [seen[0] for seen in windows] == [(8, 8), (3, 3), (3, 3), (8, 8)]
