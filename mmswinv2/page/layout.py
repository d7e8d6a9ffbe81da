"""What stands where on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from .inputs import FILE_SIZE

STAGES = 4
FONTS = dict(
    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)  # none that a browser would fetch
THEME = gr.themes.Default(primary_hue="teal", **FONTS)
CSS = """
.gradio-container { max-width: 1400px !important; margin: auto; }
:focus-visible { outline: 2px solid var(--color-accent) !important; }
input[role="listbox"] { text-overflow: ellipsis; }
.stages .form { display: grid; grid-template-columns: repeat(4, 1fr); }
.stages .form > * { padding: 0.5rem; }
.scrolls { max-height: 24rem; overflow: auto; contain: inline-size; }
.scrolls table { width: 100%; border-collapse: collapse; }
.scrolls caption { text-align: left; font-weight: 600; padding: 0.25rem 0; }
.scrolls th, .scrolls td {
  text-align: left; padding: 0.25rem 0.5rem; font-variant-numeric: tabular-nums;
  border-style: none none solid; border-bottom: 1px solid var(--border-color-primary);
}
.scrolls :is(table, thead, tbody, tr) { border: none !important; }
.scrolls i {
  display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.5em;
  border: 1px solid var(--body-text-color);
}
[role="alert"] {
  padding: 0.75rem 1rem; border-left: 4px solid #d97706; overflow-wrap: anywhere;
  background: var(--background-fill-secondary);
}
"""


@dataclass
class Layout:
    """The components that handlers read and change, in the order of the page."""

    model: gr.Dropdown
    photo: gr.File
    scale: gr.Number
    windows: list[gr.Textbox]
    window_group: gr.Group
    compare: gr.Checkbox
    others: list[gr.Textbox]
    other_group: gr.Group
    run: gr.Button
    stop: gr.Button
    score: gr.Slider
    classes: gr.Dropdown
    message: gr.HTML
    picture: gr.Image
    slider: gr.ImageSlider
    divide: gr.Slider
    differs: gr.HTML
    costs: gr.HTML
    found: gr.HTML
    found_other: gr.HTML
    found_other_column: gr.Column
    biases: gr.Image
    biases_other: gr.Image
    session: gr.State

    @property
    def settings(self) -> list:
        """What depends on the model."""
        groups = [self.window_group, self.compare, self.other_group]
        boxes = [*self.windows, *self.others]
        return [self.scale, self.score, self.classes, *groups, *boxes]

    @property
    def results(self) -> list:
        """What is shown of a pass."""
        texts = [self.message, self.differs, self.costs]
        tables = [self.found, self.found_other, self.found_other_column]
        return [self.session, self.picture, self.slider, self.divide, *texts, *tables]


def build_layout(score: float) -> Layout:
    """The components, inside of a ``gr.Blocks``.

    Args:
        score (float): From which on objects are shown at first.
    """
    gr.Markdown(
        "# Swin Transformer V2\n"
        "What a model finds in a photo, and what its attention windows do."
    )
    parts: dict[str, Any] = {}
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            parts |= _inputs(score)
        with gr.Column(scale=2, min_width=300, elem_id="results"):
            parts |= _results()
    # what a person looks at is kept for an hour, and not beyond the visit
    parts["session"] = gr.State(None, time_to_live=3600)
    return Layout(**parts)


def _inputs(score: float) -> dict:
    model = gr.Dropdown([], label="Model", interactive=True)
    limit = FILE_SIZE.upper().replace("MB", " MB")
    photo = gr.File(label=f"Photo, up to {limit}", height=150, elem_id="photo")
    scale = gr.Number(
        label="Image scale: short side in px",
        info="as the network sees it; empty: as the config has it",
        precision=0,
    )
    window_group, windows = _stages("Window A")
    compare = gr.Checkbox(label="Compare with a second window, B")
    other_group, others = _stages("Window B")
    with gr.Row():
        run = gr.Button("Look", variant="primary", min_width=120, scale=3)
        stop = gr.Button("Stop", min_width=60)
    return dict(
        model=model,
        photo=photo,
        scale=scale,
        windows=windows,
        window_group=window_group,
        compare=compare,
        others=others,
        other_group=other_group,
        run=run,
        stop=stop,
        score=gr.Slider(
            0, 1, score, step=0.01, label="Show objects with a score above"
        ),
        classes=gr.Dropdown(
            [], multiselect=True, label="Show these classes only (none: all)"
        ),
    )


def _stages(name: str) -> tuple[gr.Group, list[gr.Textbox]]:
    """A window for each stage."""
    with gr.Group(visible=False) as group:
        gr.Markdown(
            f"**{name}** in tokens (of 4, 8, 16, 32 px): 16, or 16x12, height first",
            padding=True,
        )
        with gr.Row(elem_classes="stages"):
            boxes = [
                gr.Textbox(label=f"stage {stage}", min_width=40, max_lines=1)
                for stage in range(STAGES)
            ]
    return group, boxes


def _results() -> dict:
    message = gr.HTML(visible=False, padding=False)
    still = dict(
        interactive=False, show_label=False, buttons=["download", "fullscreen"]
    )
    picture = gr.Image(alt_text="what was found", elem_id="picture", **still)
    slider = gr.ImageSlider(
        label="Window A | window B", visible=False, elem_id="slider", **still
    )
    divide = gr.Slider(
        0, 100, 50, step=1, label="Share of A, in percent", visible=False
    )
    differs = gr.HTML(visible=False, elem_id="differs", padding=False)
    costs = gr.HTML(elem_id="costs", padding=False)
    with gr.Tab("Found"), gr.Row():
        with gr.Column(min_width=280):
            found = gr.HTML(elem_id="found", padding=False)
        with gr.Column(min_width=280, visible=False) as other_column:
            found_other = gr.HTML(padding=False)
    with gr.Tab("Position bias"):
        gr.Markdown(
            "What attention adds to its logits, by the offset of two tokens: at the "
            "window that the checkpoint came with, and at the chosen one. The dashed "
            "frame holds the offsets that were known before; to the right is window B."
        )
        with gr.Row():
            biases = gr.Image(alt_text="biases at window A", elem_id="biases", **still)
            biases_other = gr.Image(
                alt_text="biases at window B", visible=False, **still
            )
    return dict(
        message=message,
        picture=picture,
        slider=slider,
        divide=divide,
        differs=differs,
        costs=costs,
        found=found,
        found_other=found_other,
        found_other_column=other_column,
        biases=biases,
        biases_other=biases_other,
    )
