"""Several processes through the command line: one model, one log, one place to go on from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from curation.errors import ConfigError
from pipelines.commands.mine import run_together, stage_for
from pipelines.config import RunConfig, build
from tests.command_line import digests, leftovers, parts_only, run
from tests.pipelines import refreshing
from tests.pipelines.training_run import beir, in_two, prepare, steps, torchrun

HALF = ["--set", "train.batch_sizes=[2,2,2,2,2,2,2,2,2]"]


def weights(out: Path) -> dict[str, Any]:
    found = load_file(out / "model/model.safetensors")
    heads = ("sparse_linear", "colbert_linear")
    return found | {
        h: torch.load(out / f"model/{h}.pt", weights_only=True)["weight"] for h in heads
    }


def test_two_processes_train_as_one(tiny_encoder: str, tmp_path: Path) -> None:
    """With half a batch each: losses, gradients and weights up to the order of sums.

    The first process alone writes and tells.
    """
    for name in ("alone", "both"):
        (tmp_path / name).mkdir()
    result = run(*prepare(tmp_path / "alone", tiny_encoder))
    assert result.code == 0, result.err
    both = torchrun([*prepare(tmp_path / "both", tiny_encoder), *HALF])
    assert both.returncode == 0, both.stderr
    assert both.stdout.count("train: read 12 training") == 1
    assert leftovers(tmp_path / "both") == []
    for one, two in zip(steps(tmp_path / "alone"), steps(tmp_path / "both"), strict=True):
        same = ("phase", "step", "rows", "tokens", "counts")
        assert {n: one[n] for n in same} == {n: two[n] for n in same}
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert two["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-4)
    moved = weights(tmp_path / "alone")
    assert sum(tensor.numel() for tensor in moved.values()) > 10_000
    for name, tensor in weights(tmp_path / "both").items():
        if not name.endswith("key.bias"):  # its gradient is rounding noise that AdamW scales up
            assert torch.allclose(tensor, moved[name], atol=2e-5), name


def test_a_signal_to_one_process_stops_all_and_nothing_is_lost(
    tiny_encoder: str, tmp_path: Path
) -> None:
    """SIGTERM after step 4: exit 0 and a message; started again, as if it had not stopped."""
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    dropout = [*HALF, "--set", "train.dropout=0.1"]
    in_two([*prepare(tmp_path / "whole", tiny_encoder), *dropout], tmp_path)
    arguments = [*prepare(tmp_path / "stopped", tiny_encoder), *dropout]
    message = "train: stopped after step 1 of 3 of finetune and saved; run it again to go on\n"
    assert in_two(arguments, tmp_path, stop_at=4) == message
    assert not (tmp_path / "stopped/model/config.json").exists()
    other = run(*arguments)  # with another number of processes the batches differ
    assert other.code == 2
    assert "has 2 processes, not 1" in other.err
    assert in_two(arguments, tmp_path).startswith("train: read 12 training")
    logs = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in steps(tmp_path / name)]
        for name in ("whole", "stopped")
    ]
    assert logs[0] == logs[1]
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(weights(tmp_path / "stopped")[name], tensor), name


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
    assert "stopped after step 1 of 3 of finetune" in in_two(cut, tmp_path, stop_at=4)
    in_two(cut, tmp_path)
    for one, two in zip(steps(tmp_path / "alone"), steps(tmp_path / "cut"), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert two["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-3)
    found = weights(tmp_path / "cut")
    for name, tensor in weights(tmp_path / "alone").items():
        if not name.endswith("key.bias"):
            assert torch.allclose(found[name], tensor, atol=1e-4), name


def test_two_processes_mine_as_one(tiny_encoder: str, tmp_path: Path) -> None:
    """Each encodes its parts, the first does the rest and tells: the same vectors and rows."""
    config = refreshing.prepare(tmp_path, tiny_encoder)
    out = tmp_path / "out"
    shutil.copytree(tmp_path / "pairs", out / "pairs")
    result = torchrun(["mine-negatives", "--config", config, "--out", str(out)], timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("mine-negatives: read 12 rows") == 1
    assert result.stdout.count("encoding in") == 1
    ours, theirs = (digests(folder / "training") for folder in (out, tmp_path))
    assert parts_only(ours) == parts_only(theirs)
    vectors = [
        {path.name: path.read_bytes() for path in folder.rglob("*.dense.npy")}
        for folder in (out / "vectors", tmp_path / "vectors")
    ]
    assert vectors[0] == vectors[1]
    assert leftovers(out) == []


def test_processes_of_torchrun_and_workers_of_beam_exclude_each_other() -> None:
    """Each of the two would start all of the other."""
    config = build(RunConfig, {"mining": {"on_workers": True}}, "")
    with pytest.raises(ConfigError, match=r"mining\.on_workers = true encodes on the workers"):
        run_together(config, stage_for(config, {}), {}, [])
