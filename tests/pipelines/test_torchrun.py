"""Several processes through the command line: one model, one log, one place to go on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.command_line import digests, leftovers, run
from tests.pipelines.training_run import beir, prepare, steps, torchrun

HALF = ["--set", "train.batch_sizes=[2,2,2,2,2,2,2,2,2]"]
CLOCK = ("seconds",)


def weights(out: Path) -> dict[str, Any]:
    found = load_file(out / "model/model.safetensors")
    heads = ("sparse_linear", "colbert_linear")
    return found | {
        h: torch.load(out / f"model/{h}.pt", weights_only=True)["weight"] for h in heads
    }


@pytest.fixture(scope="module")
def alone(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process with whole batches."""
    out = tmp_path_factory.mktemp("alone")
    result = run(*prepare(out, tiny_encoder))
    assert result.code == 0, result.err
    return out


@pytest.fixture(scope="module")
def both(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run of two processes with half a batch each, and what it printed."""
    out = tmp_path_factory.mktemp("both")
    result = torchrun([*prepare(out, tiny_encoder), *HALF])
    assert result.returncode == 0, result.stderr
    return out, result.stdout


def test_two_processes_train_as_one(alone: Path, both: tuple[Path, str]) -> None:
    """The same losses, gradients and weights, up to the order of sums."""
    for one, two in zip(steps(alone), steps(both[0]), strict=True):
        assert {n: one[n] for n in ("rows", "tokens", "counts")} == {
            n: two[n] for n in ("rows", "tokens", "counts")
        }
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert two["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-4)
    moved = weights(alone)
    assert sum(tensor.numel() for tensor in moved.values()) > 10_000
    for name, tensor in weights(both[0]).items():
        if not name.endswith("key.bias"):  # its gradient is rounding noise that AdamW scales up
            assert torch.allclose(tensor, moved[name], atol=2e-5), name


def test_the_first_process_alone_writes_and_tells(both: tuple[Path, str]) -> None:
    """One summary, one line a step, nothing left over."""
    out, told = both
    assert told.count("train: read 12 training") == 1
    assert [line["step"] for line in steps(out)] == [1, 2, 3, 1, 2, 3]
    assert leftovers(out) == []


def test_a_signal_to_one_process_stops_all_and_nothing_is_lost(
    tiny_encoder: str, tmp_path: Path, both: tuple[Path, str]
) -> None:
    """SIGTERM after step 4: exit 0 and a message; started again, as if it had not stopped."""
    arguments = [*prepare(tmp_path, tiny_encoder), *HALF]
    stopped = torchrun(arguments, stop_at=4)
    assert stopped.returncode == 0, stopped.stderr
    message = "train: stopped after step 1 of 3 of finetune and saved; run it again to go on\n"
    assert stopped.stdout == message
    assert not (tmp_path / "model/config.json").exists()
    other = run(*arguments)  # with another number of processes the batches differ
    assert other.code == 2
    assert "has 2 processes, not 1" in other.err
    again = torchrun(arguments)
    assert again.returncode == 0, again.stderr
    kept = [{k: v for k, v in line.items() if k not in CLOCK} for line in steps(tmp_path)]
    assert kept == [{k: v for k, v in line.items() if k not in CLOCK} for line in steps(both[0])]
    found = {n: d for n, d in digests(tmp_path / "model").items() if n.endswith((".pt", "tensors"))}
    assert found.items() <= digests(both[0] / "model").items()
    assert len(found) == 3


def test_shards_train_as_one(tiny_encoder: str, tmp_path: Path) -> None:
    """Uneven sub-batches, evaluations, the best weights, stopped and gone on: all as one process.

    Weights are compared, not bits: sums have another order.
    """
    options = ["train.negatives=2", "train.batch_tokens=24", "train.evaluate_steps=2"]
    options += ["train.keep=best", "train.keep_by=dense"]
    for name in ("alone", "cut"):
        (tmp_path / name).mkdir()
    path = json.dumps(beir(tmp_path / "set"))
    options.append(f"evaluation.sets=[{{kind='beir', path={path}}}]")
    given = [word for option in options for word in ("--set", option)]
    result = run(*prepare(tmp_path / "alone", tiny_encoder), *given)
    assert result.code == 0, result.err
    cut = [*prepare(tmp_path / "cut", tiny_encoder), *given, *HALF, "--set", "train.shard=true"]
    stopped = torchrun(cut, stop_at=4)
    assert stopped.returncode == 0, stopped.stderr
    again = torchrun(cut)
    assert again.returncode == 0, again.stderr
    for one, two in zip(steps(tmp_path / "alone"), steps(tmp_path / "cut"), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert two["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-3)
    found = weights(tmp_path / "cut")
    for name, tensor in weights(tmp_path / "alone").items():
        if not name.endswith("key.bias"):
            assert torch.allclose(found[name], tensor, atol=1e-4), name
