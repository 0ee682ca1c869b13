"""Stopped anywhere, in any way, a run ends as if it had not been."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.train.runs import CONFIG, Killed, kill_after, logged, train
from train.model import weights_digest
from train.stopping import Stopped, StopRequest
from train.streams import Shard
from train.watch import MODES, Scores

Whole = tuple[str, list[dict[str, Any]]]

STEPS = 9
WATCHED = replace(CONFIG, evaluate_steps=2, keep="best", save_steps=4)


def judge(model: torch.nn.Module) -> Scores:
    """Return scores that depend on every weight, up and down from step to step."""
    total = sum(float(p.detach().double().sum()) for p in model.parameters())
    return {mode: {"nDCG@10": total * 1e3 % 1} for mode in MODES}


@pytest.fixture(scope="module")
def whole(
    tiny_encoder: str, shards: list[Shard], tmp_path_factory: pytest.TempPathFactory
) -> Whole:
    """The digest and log of the run that nothing stops."""
    folder = tmp_path_factory.mktemp("whole")
    model = train(tiny_encoder, shards, folder, WATCHED, evaluate=judge)
    return weights_digest(model), logged(folder)


def test_stopped_after_every_step(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path, whole: Whole
) -> None:
    """Each start takes one step, also the last of a stage; the best weights are remembered."""
    messages = []
    for _ in range(STEPS):
        with pytest.raises(Stopped) as stopped:
            train(
                *(tiny_encoder, shards, tmp_path, WATCHED),
                evaluate=judge,
                should_stop=lambda: True,
            )
        messages.append(str(stopped.value))
    model = train(tiny_encoder, shards, tmp_path, WATCHED, evaluate=judge)
    assert (weights_digest(model), logged(tmp_path)) == whole
    places = [(n, 3, "warmup") for n in (1, 2, 3)] + [(n, 6, "finetune") for n in range(1, 7)]
    assert messages == [f"stopped after step {n} of {m} of {s} and saved" for n, m, s in places]


@settings(max_examples=4, deadline=None, phases=(Phase.generate,))  # no smaller example: slow
@given(st.lists(st.tuples(st.booleans(), st.integers(1, STEPS)), min_size=1, max_size=3))
def test_stopped_or_killed_anywhere(
    tiny_encoder: str, shards: list[Shard], whole: Whole, ends: list[tuple[bool, int]]
) -> None:
    """Any row of stops (saved) and kills (not saved), each after some lines of the log."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for is_kill, lines in ends:
            end = kill_after(lines) if is_kill else lambda _: None
            asks = iter(range(1, lines))
            stop: Callable[[], bool] = (lambda: False) if is_kill else lambda a=asks: not next(a, 0)
            try:
                hooks = {"evaluate": judge, "should_stop": stop}
                train(tiny_encoder, shards, folder, WATCHED, end, **hooks)
            except (Killed, Stopped):
                continue
        model = train(tiny_encoder, shards, folder, WATCHED, evaluate=judge)
        assert (weights_digest(model), logged(folder)) == whole


def test_signals_are_noted_and_a_second_interrupt_ends_at_once() -> None:
    """SIGTERM any number of times and SIGINT once are requests; handlers come back after."""
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    with StopRequest() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == before
