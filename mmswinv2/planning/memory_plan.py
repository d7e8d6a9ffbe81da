"""Adds up the training memory of one GPU, and finds the cheapest way to make it fit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import prod

from .auto_windows import forward_seconds
from .heads_memory import Heads
from .memory_model import FP32, Block, Part, Training, Window, peak

SHARE = 0.9  # of a GPU for tensors; CUDA's context, NCCL and fragments have the rest
MLP_SHARE = 0.5  # of a block's time
# What a switch costs, as a share of the training time where that is known: sharding is
# the paper's "no slowdown" (section 3.5) and what FSDP gathers again. A smaller batch
# changes the schedule and a smaller window the accuracy: last resorts.
COSTS = {None: 0.0, "zero1": 0.01, "fsdp": 0.1}
COST_OF_HALF_BATCH, COST_OF_HALF_WINDOW = 1.0, 3.0


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters of a model.

    Attributes:
        total (int): All.
        trainable (dict[str, int]): By the names of :class:`Part`; the rest of the
            model is 'heads'.
        largest_block (int): Those of the largest block, FSDP's unit.
        blocks (int): Those of all blocks.
    """

    total: int
    trainable: dict[str, int]
    largest_block: int
    blocks: int


@dataclass(frozen=True)
class Plan:
    """A way to train on every one of some GPUs.

    Attributes:
        training (Training): Of the backbone.
        amp (bool): Whether heads run under autocast; the backbone may without them.
        strategy (str, optional): 'zero1' or 'fsdp'.
        gpus (int): Number of GPUs.
    """

    training: Training
    amp: bool
    strategy: str | None
    gpus: int

    @property
    def recompute_time(self) -> float:
        """Time of recomputation over that of the training of the backbone."""
        times = [
            forward_seconds(self.training, i)
            for i in range(len(self.training.arch.depths))
        ]
        share = {None: 0.0, "mlp": MLP_SHARE, "block": 1.0}
        again = sum(t * share[self.training.recompute(i)] for i, t in enumerate(times))
        return again / (3 * sum(times))  # the backward pass takes two forward passes


@dataclass
class Memory:
    """Training memory of a GPU under a plan, in bytes.

    Attributes:
        parameters (Parameters): Of the model.
        state (int): Bytes of the optimizer per parameter.
        other_parts (Callable): Parts after the backbone, of a plan: necks and heads.
        averages (int): Moving averages of the weights, each of a whole model.
        teacher (int): Parameters of a frozen teacher, whole on every GPU.
        teacher_pass (Callable, optional): Bytes that pass in its forward pass.
        heads (Callable, optional): What they are for the config's batch, by whether
            they run under autocast.
        more_blocks (Callable, optional): Blocks of a plan behind the backbone.
    """

    parameters: Parameters
    state: int
    other_parts: Callable[[Plan], list[Part]] = field(repr=False)
    averages: int = 0
    teacher: int = 0
    teacher_pass: Callable[[Plan], int] | None = field(default=None, repr=False)
    heads: Callable[[bool], Heads] | None = field(default=None, repr=False)
    more_blocks: Callable[[Plan], list[Block]] | None = field(default=None, repr=False)

    def of(self, plan: Plan) -> dict[str, int]:
        """Bytes at the peak, by what takes them; their sum is the peak.

        The peak is at the start of the backward pass, on its way, where gradients of
        late parts meet activations of early ones, when the optimizer steps, or while a
        teacher looks at the pictures, before the student does.
        """
        numbers, gpus = self.parameters, plan.gpus
        trainable = sum(numbers.trainable.values())
        shards = gpus if plan.strategy == "fsdp" else 1
        state_shards = 1 if plan.strategy is None else gpus
        fixed = {
            "weights": FP32 * numbers.total // shards,
            "optimizer": self.state * trainable // state_shards,
            "images": plan.training.batch * 3 * FP32 * prod(plan.training.image),
        }
        if self.averages:
            fixed["averages"] = FP32 * numbers.total * self.averages
        if plan.strategy == "fsdp":
            # A unit and the next one, and all that is in no unit, with its gradients.
            rest = numbers.total - numbers.blocks
            units = 3 * numbers.largest_block + 2 * rest
            fixed["gathered"] = FP32 * units * (gpus > 1)
        elif gpus > 1:
            fixed["buckets"] = FP32 * trainable  # DDP's copy of the gradients
        if self.teacher:
            fixed["teacher"] = FP32 * self.teacher
        parts = plan.training.parts()
        backbone = sum(part.kept for part in parts)
        others = self.other_parts(plan)
        cast = self._cast_for_recomputation(plan)
        others[-1] = replace(others[-1], passing=others[-1].passing + cast)
        parts += others
        gradients = [FP32 * numbers.trainable.get(p.name, 0) // shards for p in parts]
        kept = {"backbone": backbone, "heads": sum(part.kept for part in others)}
        highest = max(peak(parts, gradients), FP32 * trainable // shards)
        if self.teacher_pass and (size := self.teacher_pass(plan)) > highest:
            return fixed | {"teacher_pass": size}
        passing = highest - sum(kept.values())
        if passing < 0:  # the peak is not where all is kept
            kept, passing = {}, highest
        return fixed | kept | {"passing": passing}

    def total(self, plan: Plan) -> int:
        """Bytes at the peak."""
        return sum(self.of(plan).values())

    def _cast_for_recomputation(self, plan: Plan) -> int:
        """16-bit copies that autocast holds to the end of the forward pass."""
        if not plan.amp:
            return 0
        stages = range(len(plan.training.arch.depths))
        recomputed = [i for i in stages if plan.training.recompute(i) == "block"]
        names = tuple(f"layers.{i}.blocks." for i in recomputed)
        numbers = self.parameters.trainable.items()
        return (
            2 * sum(n for name, n in numbers if name.startswith(names)) if names else 0
        )


def cheapest(memory: Memory, plan: Plan, budget: float) -> Plan | None:
    """The plan that costs least of those within a budget.

    Args:
        memory (Memory): Of the model.
        plan (Plan): What the config says.
        budget (float): Bytes.

    Returns:
        Plan | None: None if nothing fits.
    """
    plans = sorted(alternatives(plan), key=lambda other: cost(other, plan))
    return next((other for other in plans if memory.total(other) <= budget), None)


def cost(other: Plan, plan: Plan) -> float:
    """What a plan costs over training without any switch, near enough to compare."""
    halvings = plan.training.batch / other.training.batch - 1
    narrower = other.training.windows != plan.training.windows
    changes = other.amp != plan.amp, other.training.attention != plan.training.attention
    return (
        other.recompute_time
        + COSTS[other.strategy]
        + COST_OF_HALF_BATCH * halvings
        + COST_OF_HALF_WINDOW * narrower
        + 1e-4 * sum(changes)  # free, but not without a reason
    )


def alternatives(plan: Plan) -> Iterator[Plan]:
    """A plan with its switches in all positions."""
    given = plan.training
    stages = range(len(given.arch.depths))
    recomputations = [((False,) * len(stages), given.checkpoint)]
    for chosen in itertools.product((False, True), repeat=len(stages)):
        if any(chosen):
            recomputations += [(chosen, "mlp"), (chosen, "block")]
    strategies = {plan.strategy}
    if plan.strategy is None and plan.gpus > 1:
        strategies |= {"zero1", "fsdp"}
    batches = {given.batch >> i for i in range(given.batch.bit_length())}
    for strategy, amp, attention, batch, windows in itertools.product(
        strategies,
        {plan.amp, True},
        {given.attention, "auto"},
        batches,
        {given.windows, half_windows(given)},
    ):
        fsdp = strategy == "fsdp" and plan.strategy != "fsdp"
        if amp and (fsdp or (strategy == "fsdp" and not plan.amp)):
            continue  # it has a precision of its own
        training = replace(
            given,
            attention=attention,
            batch=batch,
            windows=windows,
            number=2 if amp or fsdp else given.number,
        )
        for with_cp, checkpoint in recomputations:
            if strategy == "fsdp" and not all(with_cp):
                continue  # our strategy recomputes all stages
            chosen = replace(training, with_cp=with_cp, checkpoint=checkpoint)
            yield replace(plan, training=chosen, amp=amp, strategy=strategy)


def half_windows(training: Training) -> tuple[Window, ...]:
    """Windows of half the length, of 4 tokens at least."""
    return tuple(
        tuple(min(max(w // 2, 4), w) for w in window) for window in training.windows
    )


def switches(plan: Plan, other: Plan) -> tuple[list[str], list[str]]:
    """Flags and ``--cfg-options`` of tools/train.py that turn a plan into another."""
    flags, options = [], []
    given, new = plan.training, other.training
    if other.amp and not plan.amp:
        flags.append("--amp")
    if other.strategy != plan.strategy:
        flags.append(f"--strategy {other.strategy}")
    key = "model.backbone"
    if new.attention != given.attention:
        options.append(f"{key}.attention={new.attention}")
    before = [given.recompute(i) for i in range(len(given.arch.depths))]
    after = [new.recompute(i) for i in range(len(given.arch.depths))]
    if before != after:
        if len({*after}) == 1:
            options.append(f"{key}.with_cp={any(after)}")
        else:
            values = ",".join(str(how is not None) for how in after)
            options.append(f'{key}.with_cp="[{values}]"')
        if any(after) and new.checkpoint != given.checkpoint:
            options.append(f"{key}.checkpoint={new.checkpoint}")
    if new.windows != given.windows:
        options.append(f"{key}.window_size={_written(new.windows)}")
    if new.batch != given.batch:
        options.append(f"train_dataloader.batch_size={new.batch}")
    if new.batch < given.batch:
        steps = given.batch // new.batch
        options.append(f"optim_wrapper.accumulative_counts={steps}")
    elif new.batch > given.batch:
        flags.append("--auto-scale-lr")
    return flags, options


def _written(windows: tuple[Window, ...]) -> str:
    """Windows for a command line: 16, or a list of one per stage."""
    sizes = [
        f"{w[0]}" if len({*w}) == 1 else f"({','.join(map(str, w))})" for w in windows
    ]
    alike = len({*sizes}) == 1 and sizes[0].isdigit()
    return sizes[0] if alike else f'"[{",".join(sizes)}]"'
