"""What stages of experiments leave behind, without running them."""

import json

from mmswinv2.cli.stages import Stage

LOGGED = "\n".join(
    json.dumps({"lr": 1e-3, "loss": 2.0 / step, "step": step}) for step in (1, 2, 3)
)


def finish(stage: Stage, seconds: float, **scores: float) -> None:
    """Leave behind what a training or a test leaves when it has finished."""
    times = stage.folder / "20260101_000000"
    (times / "vis_data").mkdir(parents=True)
    record = dict(key=stage.key(), seconds=seconds, done=True)
    (stage.folder / "stage.json").write_text(json.dumps(record))
    (times / f"{times.name}.json").write_text(json.dumps(scores))
    (times / "vis_data" / "scalars.json").write_text(LOGGED)
