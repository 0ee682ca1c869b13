"""`ablate` from corpora to tables, on a tiny encoder."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from pipelines.ablation.folders import DONE
from pipelines.cli import main
from tests.pipelines.training_run import beir

_CONFIG = """
out = {out}
[model]
encoder = {encoder}
pooling = "mean"
max_query_tokens = 64
max_passage_tokens = 64
[[curation.sources]]
kind = "labelled"
format = "beir"
name = "train"
path = {train}
language = "en"
query_language = "en"
[mining]
relations = ["labelled"]
negatives = 1
encode = {{ dtype = "fp32" }}
[train]
batch_sizes = [4, 4, 4, 4, 4, 4, 4, 4, 4]
negatives = 1
precision = "fp32"
learning_rate = 1e-3
[evaluation]
precision = "fp32"
resamples = 0
[[evaluation.sets]]
path = {test}
[ablate]
seeds = [0]
jobs = 2
draws = 100
[[ablate.arms]]
name = "with"
[[ablate.arms]]
name = "without"
set = {{ train.loss.self_distillation = false }}
[[ablate.studies]]
name = "Self-distillation"
arms = ["with", "without"]
paper = "distillation"
"""


@pytest.fixture
def config(tmp_path: Path, tiny_encoder: str) -> str:
    named = {
        "out": str(tmp_path / "out"),
        "encoder": tiny_encoder,
        "train": beir(tmp_path / "train"),
        "test": beir(tmp_path / "test"),
    }
    path = tmp_path / "run.toml"
    path.write_text(_CONFIG.format(**{k: json.dumps(v) for k, v in named.items()}))
    return str(path)


def test_arms_are_trained_compared_and_not_run_again(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    assert main(["ablate", "--config", config]) == 0
    found = json.loads((out / "ablation/ablation.json").read_text())

    (study,) = found["studies"]
    assert [row["name"] for row in study["rows"]] == ["before", "with", "without"]
    assert found["sets"] == {"test": 4}
    for row in study["rows"]:
        assert 0 < row["values"][""]["sparse"]["mean"] <= 1
    assert set(study["rows"][2]["differences"]) == {"", "test"}
    logs = [(out / f"runs/{arm}/seed-0/reports/train.jsonl").read_text() for arm in found["arms"]]
    assert ["distillation" in json.loads(log.splitlines()[0])["parts"] for log in logs] == [
        True,
        False,
    ]
    made = sorted(path.name.split("-")[0] for path in (out / "shared").iterdir())
    assert made == ["data", "mined", "vectors"]  # once for both arms
    assert not (out / "runs/with/seed-0/model").exists()
    page = (out / "ablation/ablation.html").read_text()
    assert "0.367" in page  # the paper's sparse head without self-distillation
    assert "<script" not in page
    assert "| without self-distillation |" in (out / "ablation/ablation.md").read_text()
    printed = capsys.readouterr().out
    assert "2 runs, 0 of them done before" in printed

    mark = out / "runs/with/seed-0" / DONE
    written = mark.stat().st_mtime_ns
    (out / "runs/without/seed-0" / DONE).unlink()  # as after a kill
    assert main(["ablate", "--config", config, "--dry-run"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^with seed 0 +done", listed, re.MULTILINE)
    assert re.search(r"^without seed 0 +to do", listed, re.MULTILINE)
    assert "1 runs to do, about" in listed

    assert main(["ablate", "--config", config]) == 0
    assert "1 of them done before" in capsys.readouterr().out
    assert mark.stat().st_mtime_ns == written
    assert json.loads((out / "ablation/ablation.json").read_text()) == found


def test_a_run_that_fails_is_named_with_the_end_of_its_log(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(tmp_path / "train")
    os.makedirs(tmp_path / "train")

    assert main(["ablate", "--config", config]) == 2

    told = capsys.readouterr().err
    assert "data ended with 2" in told
    assert "qrels.tsv" in told
    assert "log.txt" in told
