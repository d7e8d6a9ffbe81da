"""The page as a service."""

from __future__ import annotations

import socket
from collections.abc import Callable

import gradio as gr
from uvicorn.config import LOGGING_CONFIG

from .handlers import Handlers
from .inputs import FILE_SIZE
from .layout import CSS, THEME, build_layout
from .models import Models

CLEANING = (600, 3600)  # s: how often, and the age of files that then go
# On a phone the screen ends with the buttons.
TO_RESULT = """() => {
  const results = document.getElementById('results');
  if (results.getBoundingClientRect().top > innerHeight / 2) results.scrollIntoView();
}"""
PEOPLE = 32  # in the queue, and whose results are kept


def build_page(models: Models, *, root: str, score: float) -> gr.Blocks:
    """The page with its events.

    Args:
        models (Models): That it has.
        root (str): Folder that these come from, for people.
        score (float): From which on objects are shown at first.
    """
    with gr.Blocks(
        title="mmswinv2", analytics_enabled=False, delete_cache=CLEANING
    ) as page:
        ui = build_layout(score)
        do = Handlers(ui, models, root)
        # Gradio locks what an event may change until it is over: no more than needed.
        shown = dict(
            outputs=ui.results,
            show_progress_on=[ui.picture, ui.slider],
            api_visibility="private",
        )
        quiet = dict(show_progress="hidden", api_visibility="private")
        # Passes take turns, so that the time of each is its own.
        turns = dict(concurrency_id="passes", concurrency_limit=1)
        inputs = [ui.model, ui.photo, ui.scale, ui.compare, ui.score]
        inputs += [*ui.windows, *ui.others]

        def look_after(event: Callable) -> None:
            changed = shown | dict(outputs=[ui.classes, *ui.results])
            looked = event(do.look, inputs, **changed, **turns)
            looked.then(js=TO_RESULT).then(
                do.explain_windows, ui.session, [ui.biases, ui.biases_other], **quiet
            )

        # chooses the first model, which is a change
        page.load(do.arrive, **shown | dict(outputs=[ui.model, *ui.results]))
        changed = shown | dict(outputs=[*ui.settings, *ui.results])
        look_after(ui.model.change(do.choose, ui.model, **changed).then)
        look_after(ui.photo.upload)
        look_after(ui.run.click)
        for box in (ui.scale, *ui.windows, *ui.others):
            look_after(box.submit)
        ui.stop.click(do.stop, queue=False, **quiet)
        page.unload(do.stop)
        ui.photo.clear(do.clear, **shown)
        ui.compare.input(
            lambda wished: gr.update(visible=wished),
            ui.compare,
            ui.other_group,
            **quiet,
        )
        ui.divide.change(  # what a mouse drags in the picture, by keyboard
            lambda share: gr.update(slider_position=share),
            ui.divide,
            ui.slider,
            queue=False,
            **quiet,
        )
        gr.on(  # one event of both, so that the last change is what is drawn last
            [ui.score.change, ui.classes.input],
            do.show,
            [ui.session, ui.score, ui.classes],
            ui.results,
            trigger_mode="always_last",
            **quiet,
        )
    return page.queue(max_size=PEOPLE, api_open=False)


def serve(page: gr.Blocks, host: str, port: int | None) -> str:
    """Starts a page in threads of its own.

    Args:
        page (Blocks): Of :func:`build_page`.
        host (str): Address to listen at; '0.0.0.0' is all of the machine's.
        port (int, optional): Defaults to the first free one from 7860 on.

    Returns:
        str: Its address.

    Raises:
        RuntimeError: The port is taken, or the address is not this machine's.
    """
    # As it is, it would close the log files of all loggers of this process.
    LOGGING_CONFIG.update(incremental=True, handlers={})
    try:
        _check_address(host, port or 0)
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            footer_links=[],
            max_file_size=FILE_SIZE,
            state_session_capacity=PEOPLE,
            theme=THEME,
            css=CSS,
        )
    except (OSError, OverflowError) as error:
        taken = f"port {port}" if port else "every port from 7860 on"
        raise RuntimeError(
            f"nothing can listen at {host}: {taken} is taken, or the address is not "
            "this machine's; give others as --host and --port"
        ) from error
    return url


def _check_address(host: str, port: int) -> None:
    """Raises OSError or OverflowError where gradio would try a hundred ports.

    Args:
        host (str): Name or address.
        port (int): 0: any.
    """
    family, kind, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
