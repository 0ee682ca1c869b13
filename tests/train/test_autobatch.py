"""Batches find their size, and fewer tokens go at once where memory runs out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError, InputError, TrainingError
from tests.builders import short_rows, write_training_shards
from train import autobatch, memory
from train.autobatch import Line, find, largest
from train.checkpoint import load
from train.config import ModelConfig, TrainConfig
from train.data import shards_of
from train.fits import Fit, Fits
from train.log import Line as LogLine
from train.memory import limit_of, peak_of
from train.model import M3Model, weights_digest
from train.phase_run import Hooks
from train.plan import Phase, plan_phases
from train.stage_config import StageConfig
from train.streams import Shard
from train.tasks import task_of
from train.trainer import Trainer

torch.set_num_threads(1)

CPU = torch.device("cpu")
MODEL = ModelConfig(max_query_tokens=64, max_passage_tokens=64, pooling="mean")
CONFIG = TrainConfig(
    epochs=2,
    batch_sizes=(4,) * 9,
    batch_tokens=400,
    negatives=1,
    learning_rate=1e-3,
    dropout=0.0,
    save_steps=2,
    precision="fp32",
)


class Stopped(Exception):  # noqa: N818 - stands for a signal
    """The process is killed."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Shard]:
    folder = tmp_path_factory.mktemp("training")
    return shards_of(str(folder), write_training_shards(folder, short_rows(24), [24]))


def train(
    model: M3Model, shards: list[Shard], folder: Path, config: TrainConfig = CONFIG, stop: int = 0
) -> list[dict[str, Any]]:
    """Train and return the log; stop after so many steps."""
    seen: list[LogLine] = []

    def on_line(line: LogLine) -> None:
        seen.append(line)
        if len(seen) == stop:
            raise Stopped

    log = folder / "reports" / "train.jsonl"
    phases = plan_phases({"training": shards}, config)
    Trainer(model, config, phases, str(folder / "state"), str(log), Hooks(on_line=on_line)).run()
    return [json.loads(line) for line in log.read_text().splitlines()]


def losses(lines: list[dict[str, Any]]) -> list[float]:
    return [line["loss"] for line in lines]


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 3000), st.integers(1, 2000))
def test_search_finds_what_fits(limit: int, most: int) -> None:
    """Never more than fits, at least 7/8 of it, in few tries, the too large ones near the limit."""
    tried = []

    def fits(count: int) -> bool:
        tried.append(count)
        return count <= limit

    found = largest(fits, most)
    expected = min(limit, most)
    assert expected * 7 / 8 - 1 <= found <= expected
    assert all(1 <= count <= min(most, max(1, 2 * limit)) for count in tried)
    assert len(tried) <= 2 * most.bit_length() + 4


def test_line_reaches_as_far_as_the_limit() -> None:
    """start + slope · n; nothing fits below the start."""
    assert [Line(100, 10).reach(limit) for limit in (50, 100, 109, 110, 155)] == [0, 0, 0, 1, 5]


def test_peak_is_what_was_held_at_once() -> None:
    """160 MB, of which 120 together; what was freed before does not count."""
    torch.ones(100_000_000)

    def work() -> None:
        first = torch.ones(10_000_000)
        first = torch.ones(10_000_000) + first[0]  # while the last one is still there
        first = torch.ones(10_000_000)

    # An allocator that other tests have filled may keep one of the freed 40 MB.
    assert 108e6 < peak_of(work, CPU) < 172e6


def test_limit_is_given_or_what_is_free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container's limit counts, and processes of a host share it."""
    assert limit_of(CPU, 2.5) == 2_500_000_000
    whole = limit_of(CPU, 0)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert limit_of(CPU, 0) == pytest.approx(whole / 4, rel=0.3)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("500000\n")
    (tmp_path / "memory.current").write_text("100000\n")
    assert limit_of(CPU, 0) == 0.8 * 400_000 / 4


def auto(stage: StageConfig, rows: int = 10_000, world: int = 1, **options: Any) -> Phase:
    config = TrainConfig(batch_sizes=(), batch_tokens=0, stages=(stage,), negatives=1, **options)
    shards = [Shard(f"{bucket}", bucket, rows) for bucket in (0, 1)]
    data = dict.fromkeys(("training", "pairs", "documents"), shards)
    return plan_phases(data, config, world)[0]


def fit_of(encoder: str, phase: Phase) -> Fit:
    model = load(encoder, MODEL)
    model.train()
    return find(model, phase, task_of(model, phase))


@pytest.mark.parametrize("kind", ["retromae", "pretrain", "finetune"])
def test_more_memory_takes_more_tokens_and_rows(tiny_encoder: str, kind: str) -> None:
    """Up to the paper's batch, a 32nd of the rows, and the most tokens that make sense.

    A batch keeps all token vectors in fine-tuning, one vector a text in pre-training, and nothing
    in retromae.
    """
    stage = StageConfig(kind=kind)
    small, large = (
        fit_of(tiny_encoder, auto(stage, memory_gb=gb, precision="fp32")) for gb in (0.1, 20.0)
    )
    assert 64 <= small.batch_tokens < large.batch_tokens == 1 << 16
    assert large.batch_sizes[0] == 10_000 // 32
    assert (small.batch_sizes[0] < 100) == (kind == "finetune")
    assert large.batch_sizes[2] == 1, "no rows there"
    assert small.batch_tokens % 64 == 0


def test_processes_share_the_papers_batch(
    tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,152 and 768 queries in fine-tuning, by 4 processes."""
    monkeypatch.setattr(autobatch, "_MEASURED", 256)
    phase = auto(StageConfig(kind="finetune"), rows=10**6, memory_gb=50.0, world=4)
    assert fit_of(tiny_encoder, phase).batch_sizes[:2] == (288, 192)


def test_what_is_given_is_kept(tiny_encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is left open is measured; a kind's own table does not win over []."""
    monkeypatch.setattr(autobatch, "_MEASURED", 256)
    phase = auto(StageConfig(kind="finetune", batch_tokens=77), memory_gb=1.0)
    assert fit_of(tiny_encoder, phase).batch_tokens == 77
    phase = auto(StageConfig(kind="finetune", batch_sizes=(5,) * 9), memory_gb=1.0)
    assert fit_of(tiny_encoder, phase).batch_sizes == (5,) * 9
    assert not auto(StageConfig(kind="pretrain")).is_sized


def test_memory_for_the_optimizer_comes_first(tiny_encoder: str) -> None:
    """With less nothing can be trained at all."""
    with pytest.raises(ConfigError, match=r"train.memory_gb = 1e-05: 0.00 GB of it are for the"):
        fit_of(tiny_encoder, auto(StageConfig(kind="finetune"), memory_gb=1e-5))


def test_out_of_memory_bounds_the_search(
    tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on CUDA: the error is the answer, and any other error is one."""
    model = load(tiny_encoder, MODEL)
    phase = auto(StageConfig(kind="finetune"), precision="fp32")
    task = task_of(model, phase)
    fail_above(model, monkeypatch, 700)
    found = largest(
        lambda count: autobatch._fits(lambda n: task.encode(n, 64), count, 1 << 40, CPU), 1000
    )
    assert found == 700 // 64
    fail_above(model, monkeypatch, 0, RuntimeError)
    with pytest.raises(RuntimeError, match="no room"):
        autobatch._fits(lambda n: task.encode(n, 64), 1, 1 << 40, CPU)


def fail_above(
    model: M3Model,
    monkeypatch: pytest.MonkeyPatch,
    tokens: int,
    error: type[Exception] = torch.OutOfMemoryError,
) -> None:
    """Let the encoder run out of memory on more tokens at once."""
    encode = type(model.encoder).forward

    def forward(input_ids: torch.Tensor, **rest: Any) -> Any:
        if input_ids.numel() > tokens:
            raise error("no room")
        return encode(model.encoder, input_ids=input_ids, **rest)

    monkeypatch.setattr(model.encoder, "forward", forward)


def test_run_finds_its_batches_and_keeps_them(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on measures nothing again and ends as if never stopped."""
    config = replace(CONFIG, batch_sizes=(), batch_tokens=0, epochs=1, memory_gb=2.0)
    monkeypatch.setattr(autobatch, "_LEAST_STEPS", 6)
    monkeypatch.setattr(autobatch, "_MEASURED", 256)
    whole = load(tiny_encoder, MODEL)
    expected = train(whole, shards, tmp_path / "a", config)
    assert {line["rows"] for line in expected} == {4}
    assert {line["batch_tokens"] for line in expected} == {1 << 16}
    with pytest.raises(Stopped):
        train(load(tiny_encoder, MODEL), shards, tmp_path / "b", config, 3)
    found = json.loads((tmp_path / "b" / "state" / "fits.json").read_text())
    assert found["finetune"]["batch_sizes"] == [4, 1, 1, 1, 1, 1, 1, 1, 1]
    monkeypatch.setattr("train.trainer.find", None)
    model = load(tiny_encoder, MODEL)
    assert losses(train(model, shards, tmp_path / "b", config)) == losses(expected)
    assert weights_digest(model) == weights_digest(whole)


def test_memory_that_runs_out_halves_the_sub_batches(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the batch: the losses are those of a run with room. A stopped run remembers when."""
    expected = train(load(tiny_encoder, MODEL), shards, tmp_path / "room")
    model = load(tiny_encoder, MODEL)
    fail_above(model, monkeypatch, 60)
    lines = train(model, shards, tmp_path / "less")
    assert losses(lines) == pytest.approx(losses(expected), rel=1e-4)
    assert [line["rows"] for line in lines] == [4] * 12
    assert {line["batch_tokens"] for line in expected} == {400}
    assert lines[-1]["batch_tokens"] in (50, 100)
    again = load(tiny_encoder, MODEL)
    fail_above(again, monkeypatch, 60)
    with pytest.raises(Stopped):
        train(again, shards, tmp_path / "stopped", stop=3)
    again = load(tiny_encoder, MODEL)
    fail_above(again, monkeypatch, 60)
    assert losses(train(again, shards, tmp_path / "stopped")) == losses(lines)
    assert weights_digest(again) == weights_digest(model)


def test_steps_before_a_halving_keep_their_tokens() -> None:
    """A run that goes on from before it does the same steps in the same pieces."""
    fit = Fit(800, (1,) * 9, ((3, 400), (5, 200)))
    assert [fit.tokens(step) for step in range(7)] == [800, 800, 800, 400, 400, 200, 200]


def test_single_text_that_does_not_fit_ends_the_run(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing left to halve."""
    model = load(tiny_encoder, MODEL)
    fail_above(model, monkeypatch, 2)
    with pytest.raises(
        TrainingError, match=r"ran out on single texts \(\d+ tokens\) in stage fine"
    ):
        train(model, shards, tmp_path)


def test_one_of_several_processes_ends_the_run_and_remembers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait for it: none can begin the step again; the next run starts with half."""
    fits, phase = Fits(str(tmp_path)), auto(StageConfig(kind="finetune")).fitted((4,) * 9, 800)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="process 0, encoding 800 tokens at once; run again"):
        fits.lower(phase, 5, 64)
    monkeypatch.delenv("WORLD_SIZE")
    again = Fits(str(tmp_path))
    assert [again.tokens(phase, step) for step in (4, 5)] == [800, 400]


@pytest.mark.parametrize("content", ["{", '{"finetune": {}}', "[]", '{"finetune": 3}'])
def test_damaged_fits_are_refused(tmp_path: Path, content: str) -> None:
    """The file and the way out are named."""
    (tmp_path / "fits.json").write_text(content)
    with pytest.raises(InputError, match=r"fits.json is damaged \(.*; remove its folder"):
        Fits(str(tmp_path))
