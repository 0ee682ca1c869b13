"""Batches that size themselves: what fits into the memory at hand.

Half of the memory is for one sub-batch (`batch_tokens`), half for what a whole batch keeps while
its sub-batches are encoded (`batch_sizes`). The former is probed at the longest length of the data:
on CUDA by trying, an out-of-memory error being the answer; on a CPU, where that would be the end of
the process, along the line through two small measurements. The latter is along such a line, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from curation.errors import ConfigError
from curation.tokens import BUCKET_EDGES
from train.distributed import World
from train.fits import Fit
from train.memory import limit_of, peak_of
from train.model import M3Model
from train.plan import Phase
from train.stage_config import KINDS
from train.tasks import Task

_MOST_TOKENS = 1 << 16  # more at once is not faster
_LEAST_STEPS = 32  # an epoch of a bucket is no fewer: with one step nothing is learned
_PROBED = 512  # tokens of the texts by which a batch is measured
_MEASURED = 1024  # tokens of the smaller measurement, at least: less is lost in what else goes on
_WARM = 64  # tokens of a first text, for what libraries allocate once


def find(model: M3Model, phase: Phase, task: Task) -> Fit:
    """Return what fits, the same in all processes; `model` has its training mode set."""
    limit = _limit(model, phase, task)
    config = phase.config
    tokens = config.batch_tokens or _tokens(model, phase, task, limit // 2)
    sizes = config.batch_sizes or _sizes(model, phase, task, limit // 2)
    rows = World.current(model.device).gather_rows([tokens, *sizes])
    least = [min(column) for column in zip(*rows, strict=True)]
    return Fit(least[0], tuple(least[1:]))


def _limit(model: M3Model, phase: Phase, task: Task) -> int:
    """Return the bytes left when AdamW has its two numbers for each weight."""
    modules = [model, *([task.helper] if task.helper else [])]
    weights = sum(p.numel() for m in modules for p in m.parameters() if p.requires_grad)
    limit = limit_of(model.device, phase.config.memory_gb) - 8 * weights
    if limit <= 0:
        raise ConfigError(
            f"train.memory_gb = {phase.config.memory_gb:g}: {8 * weights / 1e9:.2f} GB of it are "
            "for the optimizer, and none is left"
        )
    return limit


def _tokens(model: M3Model, phase: Phase, task: Task, limit: int) -> int:
    """Return how many tokens can be encoded at once, in texts of the longest length."""
    length = min(task.longest, max(_edges(phase)))

    def run(texts: int) -> None:
        task.encode(texts, length)
        _forget(model, task)

    task.encode(1, min(_WARM, length))
    _forget(model, task)
    most = max(1, _MOST_TOKENS // length)
    if model.device.type == "cuda":
        texts = largest(lambda count: _fits(run, count, limit, model.device), most)
    else:
        few = max(1, _MEASURED // length)
        texts = min(most, Line.through(run, model.device, (few, 2 * few)).reach(limit))
    if not texts:
        raise ConfigError(
            f"one text of {length} tokens does not fit into {limit / 1e9:.2f} GB, half of what "
            f"train.memory_gb allows; lower max_passage_tokens of the stage {phase.name}"
        )
    return texts * length


def _edges(phase: Phase) -> list[int]:
    """Return the longest lengths of the buckets that have rows; of documents any length."""
    if phase.stage.data == "documents" or not phase.layout.streams:
        return [BUCKET_EDGES[-1]]
    return [BUCKET_EDGES[stream.bucket] for stream in phase.layout.streams]


def _sizes(model: M3Model, phase: Phase, task: Task, limit: int) -> list[int]:
    """Return the batch size of each bucket: the paper's share of a process, or what fits."""
    length = min(_PROBED, task.longest)

    def run(rows: int) -> None:
        task.backward(task.sample(rows, length), max(length, _WARM))
        _forget(model, task)

    run(1)
    size = task.sample(1, length).size
    few = max(4, _MEASURED // size)
    line = Line.through(run, model.device, (few, 3 * few))
    per_token = line.slope / size
    found = []
    for bucket, edge in enumerate(BUCKET_EDGES):
        row = task.sample(1, min(edge, task.longest)).size
        fits = Line(line.start, per_token * row).reach(limit)
        found.append(max(1, min(fits, _share(phase, bucket))))
    return found


def _share(phase: Phase, bucket: int) -> int:
    """Return a process's share of the paper's batch, or of few rows so that steps remain."""
    rows = sum(stream.rows for stream in phase.layout.streams if stream.bucket == bucket)
    paper = KINDS[phase.stage.kind].batches[bucket]
    return min(paper, max(1, rows // _LEAST_STEPS)) // phase.world


def _forget(model: M3Model, task: Task) -> None:
    model.zero_grad(set_to_none=True)
    if task.helper is not None:
        task.helper.zero_grad(set_to_none=True)


@dataclass(frozen=True, slots=True)
class Line:
    """Bytes by the number of texts or rows: start + slope · n."""

    start: float
    slope: float

    @classmethod
    def through(
        cls, run: Callable[[int], None], device: torch.device, points: tuple[int, int]
    ) -> Line:
        """Return the line through two measurements, the smaller first."""
        low, high = (peak_of(lambda n=n: run(n), device) for n in points)  # type: ignore[misc]
        slope = max(1.0, (high - low) / (points[1] - points[0]))
        return cls(max(0.0, low - slope * points[0]), slope)

    def reach(self, limit: float) -> int:
        """Return the largest n for which `limit` is enough."""
        return max(0, int((limit - self.start) / self.slope))


def largest(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest count up to `most` that fits, to an eighth; 0 where not even 1 does.

    What fits is doubled until something does not; then the gap is halved three times.
    """
    good, bad = 0, most + 1
    count = 1
    while count < bad:
        if not fits(count):
            bad = count
            break
        good, count = count, min(2 * count, most) if count < most else bad
    for _ in range(3):
        middle = (good + bad) // 2
        if middle in (good, 0):
            break
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def _fits(run: Callable[[int], None], count: int, limit: int, device: torch.device) -> bool:
    try:
        return peak_of(lambda: run(count), device) <= limit
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return False
