"""Running again: nothing, or only what a change reaches, is done again."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.command_line import digests, leftovers, parts_only, rows_without_times, run
from tests.end_to_end import corpus
from tests.end_to_end.conftest import STAGES, Run
from tests.llm_server import Reply, ScriptedServer

CURATED = ("documents", "pairs", "rejects/curate")
OutWith = Callable[..., Path]


def curated(out: Path) -> dict[str, str]:
    """Return the digests of all that curate writes."""
    return digests(*(out / name for name in CURATED))


def test_a_second_run_does_nothing_and_says_so(finished: Run) -> None:
    """All stages are up to date: no request, no file touched."""
    times = {p: p.stat().st_mtime_ns for p in finished.out.rglob("*")}
    asked = len(finished.server.requests)
    for stage in STAGES:
        result = run(stage, "--config", finished.config)
        assert result.code == 0
        assert result.out.startswith(f"{stage}: up to date (")
        assert result.err == ""
    assert len(finished.server.requests) == asked
    assert {p: p.stat().st_mtime_ns for p in finished.out.rglob("*")} == times


def test_demo_runs_all_stages_in_order(finished: Run) -> None:
    """`demo` on a finished run passes over every stage and shows table, times and folders."""
    result = run("demo", "--config", finished.config)
    lines = result.out.splitlines()
    shown = [line.partition(":")[0] for line in lines if ": up to date" in line]
    assert (result.code, shown) == (0, list(STAGES))
    assert "nDCG@10 before" in result.out
    assert any(line.startswith("demo: 0:") and "evaluate 0:" in line for line in lines)
    assert f"  {finished.out}/metrics/metrics.json   the table above with all measures" in lines


def test_a_changed_check_reruns_synth_without_asking(finished: Run, out_with: OutWith) -> None:
    """Another bound on copies rejudges the kept answers; equal questions leave mining as it is."""
    out = out_with(*CURATED, "questions", "responses", "training", "pool", "rejects/mine-negatives")
    asked = len(finished.server.requests)
    common = ("--config", finished.config, "--out", out, "--set", "synthesis.max_copied_share=0.61")
    results = {stage: run(stage, *common) for stage in ("curate", "synth", "mine-negatives")}
    assert results["curate"].out.startswith("curate: up to date")
    assert "(0 answers asked, 36 kept from before" in results["synth"].out
    assert results["mine-negatives"].out.startswith("mine-negatives: up to date (59 training, ")
    assert len(finished.server.requests) == asked
    assert parts_only(digests(out / "questions")) == parts_only(digests(finished.out / "questions"))


def test_another_temperature_asks_again_and_reaches_mining(
    finished: Run, out_with: OutWith
) -> None:
    """A sampling parameter is part of the request: all are asked, and later stages follow."""
    out = out_with(*CURATED, "questions", "responses", "training")
    asked = len(finished.server.requests)
    common = ("--config", finished.config, "--out", out, "--set", "synthesis.temperature=0.9")
    results = {stage: run(stage, *common) for stage in ("curate", "synth", "mine-negatives")}
    assert results["curate"].out.startswith("curate: up to date")
    assert "(36 answers asked, 0 kept from before" in results["synth"].out
    assert results["mine-negatives"].out.count("mine-negatives: read 59 rows") == 1
    assert len(finished.server.requests) == asked + 36 + 2  # two are cut short
    assert finished.server.requests[-1]["temperature"] == 0.9


def test_failed_requests_are_asked_by_the_next_run(finished: Run, out_with: OutWith) -> None:
    """Answers that a server failed to give are missing, named, and asked for again, only they."""
    out = out_with("documents")

    def refuse_french(body: dict[str, Any]) -> Reply:
        is_french = str(body["prompt"]).startswith("Texte")
        return Reply(status=503, raw=b"{}") if is_french else corpus.answer(body)

    with ScriptedServer(refuse_french) as server:
        endpoint = f'synthesis.base_url="{server.url}"'
        common = ("--config", finished.config, "--out", out, "--set", endpoint)
        first = run("synth", *common)
        assert "12 requests failed after 1 attempts: HTTP 503; run it again" in first.out
        assert "no_answer 12" in first.out
        server.script = corpus.answer
        second = run("synth", *common)
        assert "(12 answers asked, 24 kept from before" in second.out
        asked = {str(body["prompt"]) for body in server.requests}
        assert len(asked) == 36
        # two are cut short; a connection that broke under load is tried once more
        assert 36 + 12 + 2 <= len(server.requests) <= 36 + 12 + 2 + 2
        third = run("synth", *common)
    assert third.out.startswith("synth: up to date (41 questions, 4 rejects/synth)")
    kept = rows_without_times(out / "questions")
    assert kept == rows_without_times(finished.out / "questions")


def test_two_workers_write_the_same_bytes(finished: Run, tmp_path: Path) -> None:
    """Curation by two processes equals curation by one, manifests included."""
    out = tmp_path / "out"
    result = run("curate", "--config", finished.config, "--out", out, "--set", "runner.workers=2")
    assert result.code == 0, result.err
    assert curated(out) == curated(finished.out)
    for name in ("reports/curate.json", "reports/curate.html"):
        assert (out / name).read_bytes() == (finished.out / name).read_bytes(), name
    assert leftovers(out) == []


def test_the_order_of_sources_does_not_matter(finished: Run, tmp_path: Path) -> None:
    """Sources listed the other way round give the same parts."""
    data = tomllib.loads(finished.config.read_text())
    data["curation"]["sources"].reverse()
    config = tmp_path / "reversed.toml"
    config.write_text(tomli_w.dumps(data))
    assert run("curate", "--config", config, "--out", tmp_path / "out").code == 0
    assert parts_only(curated(tmp_path / "out")) == parts_only(curated(finished.out))


def test_a_changed_source_file_is_curated_again(
    finished: Run, out_with: OutWith, tmp_path: Path
) -> None:
    """A file with another content makes the stage run; what fell away is no longer there."""
    out = out_with(*CURATED)
    source = tmp_path / "corpus"
    shutil.copytree(finished.corpus, source)
    (source / "es.json").write_text('[{"title": "Nada", "text": "corto"}]')
    config = corpus.write_config(
        tmp_path / "run.toml",
        out=out,
        corpus=source,
        encoder=tomllib.loads(finished.config.read_text())["model"]["encoder"],
        url=finished.server.url,
    )
    result = run("curate", "--config", config)
    assert result.code == 0
    assert "wrote 47 documents" in result.out
    assert leftovers(out) == []


@pytest.mark.parametrize("folder", ["documents", "rejects/curate"])
def test_a_deleted_output_is_made_again(finished: Run, out_with: OutWith, folder: str) -> None:
    """When one folder of a stage is gone the stage is not up to date and restores it."""
    out = out_with(*CURATED)
    shutil.rmtree(out / folder)
    result = run("curate", "--config", finished.config, "--out", out)
    assert (result.code, curated(out)) == (0, curated(finished.out))


@pytest.mark.parametrize(
    ("stage", "lines"),
    [
        (
            "synth",
            [
                "would ask {url} 36 questions about documents of {out}",
                "language  requests  input tokens  output tokens  cost",
            ],
        ),
        (
            "mine-negatives",
            [
                "would read 41 questions, 114 pairs of {out}",
                (
                    "would take 3 negatives each (mined) for the relations question-document, "
                    "title-body, parallel and write {out}/training"
                ),
                (
                    "  30 candidates of dense, up to 3200 where too few survive; filters: "
                    "near_duplicate, same_document, same_title, equals_query, translation; "
                    "margins: max_positive_ratio 10; top of the survivors; starved: fewer"
                ),
            ],
        ),
        (
            "train",
            [
                "would train on 59 training",
                "  warmup: 2 steps on training, heads",
                "  finetune: 4 steps on training, encoder and heads",
                "and write {out}/model",
            ],
        ),
        (
            "evaluate",
            ["would evaluate before, after on questions and write {out}/metrics"],
        ),
    ],
    ids=["synth", "mine-negatives", "train", "evaluate"],
)
def test_a_dry_run_tells_and_writes_nothing(finished: Run, stage: str, lines: list[str]) -> None:
    """Even where the stage would have to run, nothing is written, asked or loaded."""
    before = digests(finished.out)
    asked = len(finished.server.requests)
    overrides = ("--set", "synthesis.seed=9", "--set", "model.max_query_tokens=16")
    result = run(stage, "--config", finished.config, "--dry-run", *overrides)
    wanted = [line.format(out=finished.out, url=finished.server.url) for line in lines]
    said = result.out.splitlines()
    if stage == "synth":
        assert said[-1].startswith(("Text", "Question", "Pregunta", "Texte", "Texto"))
        said = said[:2]
    assert (result.code, said, result.err) == (0, wanted, "")
    assert digests(finished.out) == before
    assert len(finished.server.requests) == asked
