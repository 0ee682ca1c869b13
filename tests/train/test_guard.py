"""What stops a run: spikes and what is no number."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from curation.errors import TrainingError
from train.guard import WINDOW, Guard

PARTS = {"dense": 1.0}


def test_a_spike_is_measured_by_the_median(tmp_path: Path) -> None:
    """3 times the median passes, more does not; the batch is written down."""
    guard = Guard(3.0, str(tmp_path / "bad.json"))
    for loss in [1.0, 2.0, 3.0] * 4:
        guard.check(loss, PARTS, 1.0, ["a"])
    guard.check(6.0, PARTS, 1.0, ["a"])
    with pytest.raises(TrainingError) as caught:
        guard.check(6.1, PARTS, 1.5, ["b", "c"])
    assert str(caught.value) == (
        f"the loss is 6.1, 3.0 times the median 2 of the last 13 steps; its rows are in {tmp_path}"
        "/bad.json: look at them; lower train.learning_rate or train.max_gradient_norm, or raise "
        "train.loss.temperature; or go on over it with train.spike_factor = 0"
    )
    found = json.loads((tmp_path / "bad.json").read_text())
    assert (found["rows"], found["loss"], found["median"]) == (["b", "c"], 6.1, 2.0)
    assert guard.losses[-1] == 6.0  # what was refused is no measure


def test_the_first_steps_and_no_factor_measure_nothing(tmp_path: Path) -> None:
    """A median of fewer than ten losses says little; 0 turns the look off."""
    guard = Guard(2.0, str(tmp_path / "bad.json"))
    for number in range(10):
        guard.check(10.0**number, PARTS, 1.0, [])
    with pytest.raises(TrainingError):
        guard.check(1e9, PARTS, 1.0, [])
    off = Guard(0.0, "", guard.losses)
    off.check(1e9, PARTS, 1.0, [])
    for _ in range(2 * WINDOW):
        off.check(1.0, PARTS, 1.0, [])
    assert len(off.losses) == WINDOW


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_at_once(tmp_path: Path, loss: float) -> None:
    guard = Guard(0.0, str(tmp_path / "bad.json"))
    with pytest.raises(TrainingError, match=f"the loss is {loss} .*lower train.learning_rate"):
        guard.check(loss, PARTS, 1.0, ["a"])
    with pytest.raises(TrainingError, match="its gradient's norm nan"):
        guard.check(1.0, PARTS, math.nan, ["a"])
