"""Negatives follow the model: what a refresh changes, keeps and tells, wherever it is stopped."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mining.encode import encode_dense
from pipelines.config import RunConfig
from pipelines.refreshers import Following, InProcess
from tests.command_line import leftovers, run, run_until, start
from tests.pipelines.refreshing import (
    config_of,
    log_in,
    miner_in,
    prepare,
    refreshed,
    shards_in,
    work_in,
)
from tests.pipelines.training_run import in_two
from tests.train.runs import Killed, kill_after, logged, train
from train.checkpoint import load
from train.model import M3Model, weights_digest
from train.stopping import Stopped

torch.set_num_threads(1)

Whole = tuple[str, list[dict[str, Any]]]
STEPS = 9
LINES = STEPS + 2  # and two refreshes, at steps 2 and 4 of finetune


@pytest.fixture(scope="module")
def mined(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The config of a run with mined rows."""
    return prepare(tmp_path_factory.mktemp("mined"), tiny_encoder)


@pytest.fixture
def config(mined: str) -> RunConfig:
    return config_of(mined)


def trained(config: RunConfig, folder: Path, *given: Any, **hooks: Any) -> M3Model:
    """Train in this process with refreshes; state and versions stay in `folder`."""
    refresher = InProcess(miner_in(config, folder))
    encoder = config.model.encoder
    return train(
        encoder, shards_in(config), folder, config.train, *given, refresher=refresher, **hooks
    )


def shaken(config: RunConfig) -> M3Model:
    """Return the model with other weights."""
    model = load(config.model.encoder, config.model, 0).eval()
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def whole(mined: str, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The digest and log of a training that nothing stops."""
    folder = tmp_path_factory.mktemp("whole")
    model = trained(config_of(mined), folder)
    lines = logged(folder)
    assert [(li["phase"], li["step"]) for li in refreshed(lines)] == [
        ("finetune", 2),
        ("finetune", 4),
    ]
    return weights_digest(model), lines


def test_negatives_follow_the_weights(config: RunConfig, tmp_path: Path, whole: Whole) -> None:
    """With rates the weights move, negatives change, and so does the model; without, nothing."""
    facts = [line["facts"] for line in refreshed(whole[1])]
    assert min(found["overlap"] for found in facts) < 1
    assert [(f["rows"], f["passages"]) for f in facts] == [(12, 12), (12, 12)]
    plain = train(config.model.encoder, shards_in(config), tmp_path / "plain", config.train)
    assert weights_digest(plain) != whole[0]
    still = replace(config.train, learning_rate=0.0, head_learning_rate=0.0)
    trained(replace(config, train=still), tmp_path / "still")
    facts = [line["facts"] for line in refreshed(logged(tmp_path / "still"))]
    assert [found["overlap"] for found in facts] == [1, 1]


def test_filters_hold_after_a_refresh(config: RunConfig, tmp_path: Path) -> None:
    """Against scores computed here: below the margin, no positive, the best that remain."""
    miner, model = miner_in(config, tmp_path), shaken(config)
    assert miner.mine(model, 0, 5, 0) == 1
    found, pool = miner.versions.read(1), miner.pool
    texts = pool.passages.column("text").to_pylist()
    asked = pool.queries.column("query").to_pylist()
    positives = np.array([own[0] for own in pool.queries.column("positives").to_pylist()])
    queries, passages = (
        encode_dense(model, t, is_query=q, budget=4096, dtype="fp32")
        for t, q in ((asked, True), (texts, False))
    )
    scores = queries @ passages.T
    own = scores[np.arange(len(asked)), positives]
    limit = own - 0.01 * np.abs(own)
    for row, ids in enumerate(found.ids.tolist()):
        usable = [i for i in np.argsort(-scores[row]) if scores[row, i] <= limit[row]]
        assert [i for i in ids if i >= 0] == usable[:2], (scores[row], limit[row])
        assert positives[row] not in ids
    facts = miner.versions.describe(1).facts
    assert facts["starved"] == (found.ids < 0).any(1).sum()
    others = np.where(np.arange(len(texts)) == positives[:, None], -np.inf, scores)
    best = -np.sort(-others, axis=1)[:, :2]
    assert facts["suspects"] == pytest.approx((best > own[:, None]).mean())
    assert facts["suspects_at_margin"] == pytest.approx((best > limit[:, None]).mean(), abs=1e-6)


def test_a_fraction_takes_its_turn(config: RunConfig, tmp_path: Path) -> None:
    """A third of the queries each time: after three refreshes all are new, each once."""
    part = replace(config, ance=replace(config.ance, fraction=1 / 3))
    miner, model = miner_in(part, tmp_path), shaken(config)
    for number in range(3):
        assert miner.mine(model, 1, 2 * number, number) == number + 1
        made = miner.versions.read(number + 1).made
        assert np.bincount(made, minlength=number + 2).tolist() == [8 - 4 * number] + [4] * (
            number + 1
        )
    all_at_once = miner_in(config, tmp_path / "whole")
    all_at_once.mine(model, 1, 0, 0)
    assert np.array_equal(miner.versions.read(3).ids, all_at_once.versions.read(1).ids)


def test_stopped_after_every_step(config: RunConfig, tmp_path: Path, whole: Whole) -> None:
    for _ in range(STEPS):
        with pytest.raises(Stopped):
            trained(config, tmp_path, should_stop=lambda: True)
    assert (weights_digest(trained(config, tmp_path)), logged(tmp_path)) == whole


@pytest.mark.parametrize("lines", [5, 6, 7, 8, 9, 10])
def test_killed_without_a_checkpoint(
    config: RunConfig, tmp_path: Path, whole: Whole, lines: int
) -> None:
    """At a refresh, before and after one; older versions go when no checkpoint uses them."""
    with pytest.raises(Killed):
        trained(config, tmp_path, kill_after(lines))
    assert (weights_digest(trained(config, tmp_path)), logged(tmp_path)) == whole
    assert [p.name for p in (tmp_path / "negatives/versions").glob("version-*")] == [
        "version-000002"
    ]


def test_evaluated_at_a_refresh(config: RunConfig, tmp_path: Path) -> None:
    """With evaluations on, the refresh's line tells how well the model retrieves then."""
    watched = replace(config, train=replace(config.train, evaluate_steps=2))
    scores = iter(range(100))
    trained(watched, tmp_path, evaluate=lambda _: {"all": {"nDCG@10": next(scores) / 100}})
    lines = logged(tmp_path)
    for number, line in enumerate(lines):
        if "version" in line:
            assert line["held_out"] == lines[number - 1]["scores"]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(out / "model/model.safetensors"))


@pytest.fixture(scope="module")
def finished(mined: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of the command."""
    out = copied(mined, tmp_path_factory.mktemp("finished"))
    result = run("train", "--config", mined, "--out", out)
    assert result.code == 0, result.err
    assert "  negatives 2 (" in result.err
    return out


def copied(mined: str, folder: Path) -> Path:
    out = folder / "out"
    shutil.copytree(Path(mined).parent, out)
    return out


def same_weights(one: Path, two: Path) -> bool:
    ours = weights(one)
    return all(torch.equal(ours[name], tensor) for name, tensor in weights(two).items())


@pytest.mark.parametrize(
    ("file", "complete"),
    [
        ("vectors-1-2/", True),
        ("vectors-1-4/", False),
        ("version-000001/version.json", False),
        ("version-000002/version.json", True),
        ("schedule.json", True),
    ],
    ids=["amid encoding", "before encoding", "before the mark", "after the mark", "after the plan"],
)
def test_killed_in_a_refresh(
    mined: str, finished: Path, tmp_path: Path, file: str, complete: bool
) -> None:
    """Started again, a command that was killed (-9) while it mined ends with the same model."""
    out = copied(mined, tmp_path)
    assert run_until(file, "train", "--config", mined, "--out", out, complete=complete) == -9
    result = run("train", "--config", mined, "--out", out)
    assert result.code == 0, result.err
    assert same_weights(out, finished)
    assert refreshed(log_in(out)) == refreshed(log_in(finished))
    assert leftovers(out) == []


def test_the_report_tells_the_drift(finished: Path) -> None:
    page = (finished / "reports/train.html").read_text()
    assert "Negatives mined anew" in page
    assert "share of false-negative suspects" in page


def test_two_processes_use_one_version(mined: str, finished: Path, tmp_path: Path) -> None:
    """Each encodes parts, the first mines; the same negatives as of one process."""
    out = copied(mined, tmp_path)
    half = ["--set", "train.batch_sizes=[2,2,2,2,2,2,2,2,2]", "--set", "train.dropout=0.0"]
    arguments = ["train", "--config", mined, *half]
    in_two([*arguments, "--out", str(out)], tmp_path)
    alone = copied(mined, tmp_path / "alone")
    run("train", "--config", mined, "--set", "train.dropout=0.0", "--out", alone)
    for one, two in zip(refreshed(log_in(alone)), refreshed(log_in(out)), strict=True):
        assert two["facts"] == pytest.approx(one["facts"], rel=1e-3)
    for one, two in zip(log_in(alone), log_in(out), strict=True):
        if "loss" in one:
            assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)


def test_a_second_process_that_is_waited_for_gives_the_same(
    mined: str, finished: Path, tmp_path: Path
) -> None:
    """mode = follow with wait: bit-equal to mining in the trainer; the follower ends with it."""
    out = copied(mined, tmp_path)
    modes = ["--set", "ance.mode=follow", "--set", "ance.wait=true"]
    given = ["--config", mined, "--out", str(out), *modes]
    follower = start("refresh", *given)
    try:
        result = run("train", *given)
        assert result.code == 0, result.err
        assert "waiting at step 2 for `python -m pipelines refresh`" in result.out
        follower.join(30)
        assert follower.exitcode == 0
    finally:
        follower.kill()
    assert same_weights(out, finished)
    assert refreshed(log_in(out)) == refreshed(log_in(finished))
    assert leftovers(out) == []


def test_a_trainer_waits_for_nobody(mined: str, config: RunConfig, tmp_path: Path) -> None:
    """mode = follow and nobody to follow: trained to the end as without a refresh."""
    for name, modes in (("follow", ["ance.mode=follow"]), ("off", ["ance.every_steps=0"])):
        out = copied(mined, tmp_path / name)
        sets = [word for mode in modes for word in ("--set", mode)]
        assert run("train", "--config", mined, "--out", out, *sets).code == 0
        assert refreshed(log_in(out)) == []
    assert same_weights(tmp_path / "follow/out", tmp_path / "off/out")


def test_a_follower_mines_with_the_newest_checkpoint(mined: str, tmp_path: Path) -> None:
    """The trainer takes them at its next boundary, and again when it goes on from before it."""
    out = copied(mined, tmp_path)
    given = ["--config", mined, "--out", str(out), "--set", "ance.mode=follow"]
    config = config_of(mined, f"out={str(out)!r}", "ance.mode=follow")
    folder = work_in(config)
    miner = miner_in(config, folder)

    def go(*on_step: Any) -> M3Model:
        hooks = {"refresher": Following(miner, lambda: False)}
        encoder, shards = config.model.encoder, shards_in(config)
        return train(encoder, shards, folder, config.train, *on_step, **hooks)

    with pytest.raises(Killed):
        go(kill_after(7))  # saved at step 3 of finetune
    follower = start("refresh", *given, file="version-000001/version.json")
    follower.join(60)
    with pytest.raises(Killed):
        go(kill_after(3))  # steps 4, the new negatives, 5
    digest = miner.versions.read(1).ids.copy()
    assert miner.mine(shaken(config), 1, 5, 1) == 2
    go()
    (line,) = refreshed(logged(folder))
    assert (line["step"], line["mined_at"], line["version"]) == (4, 3, 1)
    assert np.array_equal(miner.versions.read(1).ids, digest)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.stages=[{kind='warmup'}]"], "no stage takes any"),
        (["train.negatives=0"], "no stage takes any"),
        (["train.loss.teacher=kl"], "no teacher has scored the negatives"),
        (["ance.every_epochs=0.5"], "set one of them to 0"),
        (["ance.wait=true"], "goes with ance.mode = 'follow'"),
        (["ance.mode=later"], "in_process"),
        (["ance.fraction=1.5"], "ance.fraction"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_settings_that_make_no_sense_are_refused(
    mined: str, overrides: list[str], message: str
) -> None:
    sets = [word for override in overrides for word in ("--set", override)]
    result = run("train", "--config", mined, *sets)
    assert result.code == 2
    assert message in result.err
