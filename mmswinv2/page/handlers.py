"""What the page does when somebody chooses, uploads or presses something."""

from __future__ import annotations

import functools
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import gradio as gr
import numpy as np

from mmswinv2.cli.launch import explain
from mmswinv2.errors import RunError

from .drawing import draw, draw_biases, of_one_size
from .findings import difference, only_classes, present_classes
from .inputs import parse_scale, parse_stages, read_upload, write_window
from .layout import STAGES, Layout
from .models import LoadedModel, Models
from .passes import Pass, Settings, run_pass
from .tables import costs_table, found_table, message, sentence

NO_MODEL = (
    "No trained model is in {root} yet. Run tools/train.py, or make quickstart in a "
    "clone, which trains some in minutes; or start this page with a config and a "
    "checkpoint. Then reload the page."
)


@dataclass
class Session:
    """What one person looks at.

    Attributes:
        photo (str): File of the picture.
        meta (Mapping): Of the model that it was given to: ``classes``, and perhaps
            ``palette``. Not the model, which could not be let go of.
        passes (list[Pass]): One, or those of windows A and B.
    """

    photo: str
    meta: Mapping
    passes: list[Pass] = field(default_factory=list)


def _told(handler: Callable[..., dict]) -> Callable[..., dict]:
    """A handler whose errors are a message on the page, and a line in the terminal."""

    @functools.wraps(handler)
    def run(self: Handlers, *args: object) -> dict:
        try:
            return handler(self, *args)
        except Exception as error:  # whatever it is, the page goes on
            if os.environ.get("MMSWINV2_TRACEBACK") == "1":
                traceback.print_exc()
            text = " ".join(explain(error).split())
            print(f"error: {text}", file=sys.stderr, flush=True)
            return self.cleared(text)

    return run


class Handlers:
    """Each gives the components that change, with what they change to.

    Args:
        layout (Layout): The page.
        models (Models): That it has.
        root (str): Folder that these come from, for people.
    """

    def __init__(self, layout: Layout, models: Models, root: str) -> None:
        self.layout, self.models, self.root = layout, models, root
        self._going: dict[str, threading.Event] = {}  # passes, by who waits for them
        self._nothing = {layout.message: gr.skip()}  # gradio takes no empty dict

    @_told
    def arrive(self) -> dict:
        """A page opens: what there is to choose from."""
        names = self.models.names()
        first = names[0] if names else None
        text = NO_MODEL.format(root=self.root)
        return {
            self.layout.model: gr.update(
                choices=names, value=first, visible=len(names) > 1
            ),
            **(self.cleared() if names else self.cleared(text)),
        }

    @_told
    def choose(self, name: str | None) -> dict:
        """A model is chosen: its own scale and windows."""
        if name is None:
            return self._nothing
        model = self.models.get(name)
        ui = self.layout
        texts = [write_window(window) for window in model.windows]
        has_windows = bool(texts)
        return {
            ui.scale: gr.update(value=model.short_side, visible=bool(model.short_side)),
            ui.window_group: gr.update(visible=has_windows),
            ui.compare: gr.update(value=False, visible=has_windows),
            ui.other_group: gr.update(visible=False),
            ui.score: gr.update(visible=model.finds_objects),
            ui.classes: gr.update(
                choices=[], value=[], visible=not model.names_pictures
            ),
            **_values(ui.windows, texts),
            **_values(ui.others, texts),
            **self._message(),
        }

    @_told
    def look(
        self,
        name: str | None,
        photo: str | None,
        scale: float | None,
        compare: bool,
        score: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (how gradio gives it)
        request: gr.Request | None = None,
        *texts: str,
    ) -> dict:
        """A picture goes through the model, once or at both windows."""
        if photo is None or name is None:
            return self._nothing
        model = self.models.get(name)
        all_settings = self._settings(model, scale, compare, texts)
        pixels = read_upload(photo)
        session = Session(photo, model.meta)
        stop = self._going[request.session_hash] = threading.Event()
        for side, settings in zip("AB", all_settings):
            on_tile = _progress_of(progress, f"window {side}", stop)
            session.passes.append(run_pass(model, pixels, settings, on_tile))
        present = present_classes(session.passes[0].sample, len(model.meta["classes"]))
        choices = [(model.meta["classes"][i], i) for i in present]
        return {
            self.layout.session: session,
            self.layout.classes: gr.update(choices=choices, value=[]),
            self.layout.costs: costs_table(session.passes, model),
            **self._shown(session, pixels, score, []),
        }

    def stop(self, request: gr.Request) -> None:
        """Who asks, or has left, waits no more: the pass ends after its next tile."""
        going = self._going.pop(request.session_hash, None)
        if going is not None:
            going.set()

    @_told
    def show(
        self, session: Session | None, score: float, classes: Sequence[int]
    ) -> dict:
        """What was found is drawn, as far as it is wished for."""
        if session is None:
            return self._nothing
        # Read anew: kept for each visitor, large ones would fill the memory.
        return self._shown(session, read_upload(session.photo), score, classes)

    def _shown(
        self,
        session: Session,
        pixels: np.ndarray,
        score: float,
        classes: Sequence[int],
    ) -> dict:
        ui, meta = self.layout, session.meta
        shown = [
            only_classes(taken.sample, classes, len(meta["classes"]))
            for taken in session.passes
        ]
        drawn = [draw(pixels, sample, meta, score) for sample in shown]
        titles = ["found at window A", "found at window B"]
        if len(shown) == 1:
            titles = ["found"]
        tables = [found_table(*pair, meta, score) for pair in zip(titles, shown)]
        changes = {**self._message(), ui.found: tables[0], ui.session: session}
        if len(drawn) == 1:
            return changes | {
                ui.picture: gr.update(value=drawn[0], visible=True),
                ui.slider: gr.update(value=None, visible=False),
                ui.divide: gr.update(visible=False),
                ui.differs: gr.update(visible=False),
                ui.found_other_column: gr.update(visible=False),
            }
        text = difference(*shown, meta, score)
        return changes | {
            ui.picture: gr.update(value=None, visible=False),
            ui.slider: gr.update(value=tuple(of_one_size(drawn)), visible=True),
            ui.divide: gr.update(visible=True),
            ui.differs: gr.update(value=sentence(text), visible=True),
            ui.found_other: tables[1],
            ui.found_other_column: gr.update(visible=True),
        }

    def explain_windows(self, session: Session | None) -> dict:
        """The position biases of the passes."""
        ui = self.layout
        passes = session.passes if session else []
        drawn = [draw_biases(taken.transfers) for taken in passes]
        first, second = (*drawn, None, None)[:2]
        return {
            ui.biases: gr.update(value=first),
            ui.biases_other: gr.update(value=second, visible=second is not None),
        }

    def _settings(
        self,
        model: LoadedModel,
        scale: float | None,
        compare: bool,
        texts: Sequence[str],
    ) -> list[Settings]:
        side = parse_scale(scale) if model.short_side else None
        if not model.windows:
            return [Settings(side)]
        sides = [texts[:STAGES], texts[STAGES:]][: 1 + compare]
        return [Settings(side, parse_stages(texts, model.windows)) for texts in sides]

    def clear(self) -> dict:
        """The photo is taken away."""
        return self.cleared()

    def cleared(self, text: str = "") -> dict:
        """Nothing in the place of what was found, but perhaps a message."""
        ui = self.layout
        return {
            **self._message(text),
            ui.session: None,
            ui.picture: gr.update(value=None, visible=True),
            ui.slider: gr.update(value=None, visible=False),
            ui.divide: gr.update(visible=False),
            ui.differs: gr.update(visible=False),
            ui.costs: "",
            ui.found: "",
            ui.found_other_column: gr.update(visible=False),
        }

    def _message(self, text: str = "") -> dict:
        update = gr.update(value=message(text) if text else "", visible=bool(text))
        return {self.layout.message: update}


def _values(boxes: Sequence[gr.Textbox], texts: Sequence[str]) -> dict:
    """One text for each box; boxes without one are hidden."""
    missing = len(boxes) - len(texts)
    texts = [*texts, *[None] * missing]
    return {
        box: gr.update(value=text, visible=text is not None)
        for box, text in zip(boxes, texts)
    }


def _progress_of(
    progress: gr.Progress, what: str, stop: threading.Event
) -> Callable[[int, int], None]:
    """What shows the tiles of a large picture that are done."""

    def on_tile(done: int, total: int) -> None:
        if stop.is_set():
            raise RunError("stopped")
        progress((done, total), desc=what, unit="tiles")

    return on_tile
