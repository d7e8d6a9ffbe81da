import io

import pytest
from rich.console import Console

from mmswinv2.cli import progress
from mmswinv2.cli.progress import progress_bar


@pytest.mark.parametrize("total", [2000, None])
def test_a_file_gets_a_line_at_times_with_what_is_known(
    total: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((0.0, 10.0, 100.0, 110.0))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    console = Console(file=io.StringIO())
    with progress_bar("[a].mp4", console, unit="frames") as show:
        for done in (100, 1000, 1100):
            show(done, total)
    line = "[a].mp4: 1,000 frames, 10.0/s\n"
    if total:
        line = "[a].mp4: 1,000 of 2,000 frames, 10.0/s, 0:01:40 left\n"
    assert console.file.getvalue() == line


def test_a_terminal_gets_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None)
    with progress_bar("clip.mp4", console, unit="frames") as show:
        show(3, 8)
    assert "3/8 frames, " in console.file.getvalue()
