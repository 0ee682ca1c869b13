"""`make train` with everything on: evaluations, events, report, card, warnings, signals, faults."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from curation import manifest
from pipelines.terminal import Progress
from pipelines.training import Meter
from tests.command_line import digests, leftovers, run, run_until
from tests.pipelines.training_run import ROOT, beir, prepare, steps
from train.log import Judgement, StepReport


@pytest.fixture(scope="module")
def watched(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run with evaluations and events, and its arguments."""
    out = tmp_path_factory.mktemp("watched")
    arguments = prepare(out, tiny_encoder)
    path = json.dumps(beir(out / "set"))
    arguments += ["--set", f"evaluation.sets=[{{kind='beir', path={path}}}]"]
    arguments += ["--set", "train.evaluate_steps=2", "--set", "train.keep=best"]
    arguments += ["--set", "train.evaluate_passages=6", "--set", "train.tensorboard=true"]
    result = run(*arguments)
    assert result.code == 0, result.err
    assert "nDCG@10 dense " in result.err
    assert " rows/s  loss " in result.err
    return out, arguments


def test_a_watched_run_tells_all(watched: tuple[Path, list[str]]) -> None:
    """Evaluations in the log, TensorBoard's events, the page and the card with its numbers."""
    out, _ = watched
    lines = [json.loads(line) for line in (out / "reports/train.jsonl").read_text().splitlines()]
    judged = [(j["phase"], j["step"]) for j in lines if "scores" in j]
    assert judged == [("warmup", 2), ("warmup", 3), ("finetune", 2), ("finetune", 3)]
    (events,) = (out / "reports/tensorboard").iterdir()
    assert events.read_bytes().count(b"held-out nDCG@10/multi-vector") == 4
    assert events.read_bytes().count(b"loss/multi_vector") == 6
    assert "Held-out queries in finetune" in (out / "reports/train.html").read_text()
    card = (out / "model/README.md").read_text()
    best = [j for j in lines if "scores" in j and j["phase"] == "finetune" and j["is_best"]][-1]
    assert f"| all | {best['scores']['all']['nDCG@10']:.4f} |" in card.replace("\\", "")
    assert "| training | test | question-document | en | 12 |" in card.replace("\\", "")
    names = [part["name"] for part in manifest.read(str(out / "model"), "")["parts"]]
    assert "README.md" in names
    assert "1_Pooling/config.json" in names


def test_a_finished_run_is_up_to_date_whatever_changes_nothing(
    watched: tuple[Path, list[str]],
) -> None:
    """How often to save is no reason to train again; the rate is."""
    _, arguments = watched
    same = run(*arguments, "--set", "train.save_steps=1", "--set", "train.spike_factor=5.0")
    assert same.out.startswith("train: up to date")
    assert "would train on 12 training" in run(*arguments, "--dry-run").out


def test_killed_between_weights_and_manifest(
    watched: tuple[Path, list[str]], tiny_encoder: str, tmp_path: Path
) -> None:
    """Started again, a run that was killed while it published ends with the same folder."""
    arguments = [*prepare(tmp_path, tiny_encoder), *watched[1][3:]]
    assert run_until("model/manifest.json", *arguments, complete=False) == -9
    assert (tmp_path / "model/README.md").exists()
    result = run(*arguments)
    assert result.code == 0, result.err
    mine = digests(tmp_path / "model")
    theirs = digests(watched[0] / "model")
    differing = {name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)}
    assert differing <= {"model/README.md", "model/manifest.json"}  # they name the folder
    assert leftovers(tmp_path) == []


def report(**changes: Any) -> StepReport:
    values: dict[str, Any] = {
        "phase": "finetune",
        "step": 3,
        "steps": 10,
        "share": 0.3,
        "loss": 1.5,
        "parts": {"dense": 1.0},
        "counts": {"queries": 40, "passages": 160, "weightless": 0},
        "rows": 40,
        "tokens": 900,
        "cut": 0,
        "seconds": 1.0,
        "learning_rate": 1e-3,
        "gradient_norm": 1.0,
    }
    names = set(StepReport.__dataclass_fields__)
    values |= dict.fromkeys(names - set(values), 0)
    return StepReport(**(values | changes))


def test_a_dead_sparse_head_is_told_once_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    """At more than 99 % of the texts without a weight; 99 % is told nowhere."""
    meter = Meter(Progress("train", "tokens"))
    for weightless in (198, 199, 200):
        counts = {"queries": 40, "passages": 160, "weightless": weightless}
        meter.show(report(counts=counts))
    told = capsys.readouterr().err
    assert told == (
        "train: warning: the sparse head is dead: at step 3 of finetune 99.5% of the texts have no "
        "weight at all; lower train.head_learning_rate or begin with a stage of kind warmup\n"
    )
    scores = {"dense": {"nDCG@10": 0.5}}
    meter.show(Judgement(phase="finetune", step=3, scores=scores, is_best=True))
    assert str(meter) == "2,700 tokens in 3 steps"


def test_an_interrupt_saves_and_exits_0(tiny_encoder: str, tmp_path: Path) -> None:
    """SIGINT in the midst of 600 steps (SIGTERM: test_torchrun); the position is that step."""
    arguments = [*prepare(tmp_path, tiny_encoder), "--set", "train.epochs=200"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines", *arguments],
        env=environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        deadline = time.monotonic() + 60
        log = tmp_path / "reports/train.jsonl"
        while time.monotonic() < deadline and not (
            log.exists() and log.read_text().count("\n") > 4
        ):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, len(steps(tmp_path)) < 600) == (0, True), err
    step = steps(tmp_path)[-1]
    place = f"step {step['step']} of {step['steps']} of {step['phase']}"
    assert out == f"train: stopped after {place} and saved; run it again to go on\n"
    assert "Losses of warmup" in (tmp_path / "reports/train.html").read_text()
    (position,) = tmp_path.glob(".work-train-*/state/position.json")
    assert json.loads(position.read_text())["step"] == step["step"]


def test_a_full_disk_is_an_error_of_one_line(tiny_encoder: str, tmp_path: Path) -> None:
    """A checkpoint of 40 kB does not fit into 30; exit 2; then it goes on."""
    arguments = prepare(tmp_path, tiny_encoder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        result = run(*arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.code == 2
    assert "train: error: the checkpoint " in result.err
    assert "cannot be written (File too large); the last one is intact" in result.err
    assert "Traceback" not in result.err
    assert run(*arguments).code == 0


def test_one_process_has_nothing_to_shard(tiny_encoder: str, tmp_path: Path) -> None:
    result = run(*prepare(tmp_path, tiny_encoder), "--set", "train.shard=true")
    assert result.code == 2
    assert "train.shard = true needs several processes: start it with torchrun" in result.err


def test_a_checkpoint_with_code_is_refused(tiny_encoder: str, tmp_path: Path) -> None:
    """Put into the state of a stopped run, it is not run; exit 2."""
    arguments = prepare(tmp_path, tiny_encoder)
    assert run_until("state/position.json", *arguments) == -9
    (model,) = tmp_path.glob(".work-train-*/state/state-*/model.pt")

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"w": Bomb()}, model)
    result = run(*arguments)
    assert result.code == 2
    assert "holds more than tensors could run code and is not read" in result.err
    assert not (tmp_path / "executed").exists()
