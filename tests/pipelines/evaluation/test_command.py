"""`evaluate` without a run: models and sets from the command line or the config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import pytrec_eval

from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.languages import languages_of
from tests.command_line import Result, run
from tests.pipelines.evaluation.folders import write_beir

SMALL = ("--set", "model.max_passage_tokens=64", "--set", "model.max_query_tokens=32")


@pytest.fixture(scope="module")
def done(
    tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result, list[str]]:
    folder = tmp_path_factory.mktemp("evaluate")
    for name in ("xquad-de", "xquad-en", "scifact"):
        write_beir(folder / "sets" / name)
    arguments = [
        *("evaluate", "--model", f"tiny={tiny_encoder}", "--sets", str(folder / "sets/*")),
        *("--out", str(folder / "out"), *SMALL, "--set", "evaluation.resamples=100"),
        *("--set", 'evaluation.models=[{kind="bm25"}]', "--set", "evaluation.precision=fp32"),
    ]
    return folder / "out", run(*arguments), arguments


def test_any_folder_is_evaluated_without_a_run(done: tuple[Path, Result, list[str]]) -> None:
    """Every set of the glob, five modes of the model and BM25, per language and on average."""
    out, result, _ = done
    assert (result.code, result.err.count("Traceback")) == (0, 0)
    found = json.loads((out / "metrics/metrics.json").read_text())
    assert [s["name"] for s in found["sets"]] == ["scifact", "xquad-de", "xquad-en"]
    assert found["models"] == [{"name": "tiny", "kind": "m3"}, {"name": "BM25", "kind": "bm25"}]
    rows = [(row["model"], row["mode"]) for row in found["sets"][0]["scores"]]
    modes = ["dense", "sparse", "multi-vector", "dense+sparse", "all"]
    assert rows == [*(("tiny", mode) for mode in modes), ("BM25", "bm25")]
    [average] = found["averages"]
    assert (average["benchmark"], average["sets"]) == ("xquad", ["xquad-de", "xquad-en"])
    header = next(line for line in result.out.splitlines() if line.startswith("xquad nDCG@10"))
    assert header.split() == ["xquad", "nDCG@10", "de", "en", "mean"]


def test_the_files_of_runs_give_the_values_of_the_table(
    done: tuple[Path, Result, list[str]],
) -> None:
    """Runs and judgements are kept in TREC's format and score as metrics.json says."""
    out, _, _ = done
    found = json.loads((out / "metrics/metrics.json").read_text())
    for one in found["sets"]:
        with (out / f"metrics/qrels/{one['name']}.qrels").open() as handle:
            judged = pytrec_eval.parse_qrel(handle)
        for row in one["scores"]:
            name = f"{row['model']}.{row['mode']}.trec"
            with (out / "metrics/runs" / one["name"] / name).open() as handle:
                ranked = pytrec_eval.parse_run(handle)
            evaluator = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.100"})
            theirs = evaluator.evaluate(ranked)
            for measure, code in (("nDCG@10", "ndcg_cut_10"), ("Recall@100", "recall_100")):
                mean = sum(theirs.get(q, {}).get(code, 0.0) for q in judged) / len(judged)
                assert row["measures"][measure]["mean"] == pytest.approx(mean, abs=1e-12)


def test_the_same_evaluation_again_is_up_to_date(done: tuple[Path, Result, list[str]]) -> None:
    """It says so and shows the same table; another seed of the draws is another evaluation."""
    _, result, arguments = done
    again = run(*arguments)
    assert again.out.startswith("evaluate: up to date")
    table = result.out.partition("evaluate: read")[0].strip()
    assert again.out.partition("\n")[2].strip() == table
    told = run(*arguments, "--set", "evaluation.seed=1", "--dry-run")
    assert told.out.startswith("would evaluate tiny, BM25 on ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--model", "x", "--sets", "/none/*"],
            "evaluation.sets: nothing matches path = '/none/*'",
        ),
        (["--model", "x"], "--model without a run has no questions: name sets with --sets GLOB"),
        (
            ["--set", "evaluation.models=[{kind='bm25'}, {kind='bm25'}]"],
            "two models are called 'BM25'; give each a `name`",
        ),
        (["--set", "evaluation.models=[{kind='endpoint', url='u'}]"], "needs `model`"),
        (["--set", "evaluation.models=[{kind='bm52'}]"], "did you mean 'bm25'?"),
        (["--set", "evaluation.sets=[{path='x', preset='mdlr'}]"], "did you mean 'mldr'?"),
        (
            ["--set", "evaluation.sets=[{path='x', corpus='y', pair_by='('}]"],
            "no regular expression",
        ),
        (
            ["--set", "evaluation.run_depth=10"],
            "evaluation.run_depth = 10 is outside 100 .. 100000",
        ),
        (
            ["--compare", "a.qrels"],
            "--compare takes a file of judgements and at least one run file",
        ),
    ],
    ids=["glob", "sets", "names", "needs", "kind", "preset", "pair", "depth", "compare"],
)
def test_what_cannot_be_evaluated_is_told(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run("evaluate", "--out", tmp_path / "out", *arguments)
    assert (result.code, message in result.err) == (2, True), result.err


def test_two_sets_of_one_name_are_an_error(tmp_path: Path) -> None:
    """Their files would overwrite each other."""
    write_beir(tmp_path / "a/same")
    write_beir(tmp_path / "b/same")
    result = run(
        "evaluate", "--model", "x", "--sets", f"{tmp_path}/*/same", "--out", tmp_path / "o"
    )
    assert (result.code, "two sets are called 'same'" in result.err) == (2, True), result.err


def test_presets_are_the_papers() -> None:
    """Passages weigh the heads 1, 0.3, 1; long documents lean on the sparse one."""
    config = EvaluationConfig(weights=(1.0, 0.1, 2.0))
    assert (config.rerank_depth, config.union_depth) == (200, 1000)
    for preset in ("miracl", "mkqa"):
        weights = config.weights_for(preset)
        assert (weights.pair, weights.all) == ((1.0, 0.3), (1.0, 0.3, 1.0))
    for preset in ("mldr", "narrativeqa"):
        weights = config.weights_for(preset)
        assert (weights.pair, weights.all) == ((0.2, 0.8), (0.15, 0.5, 0.35))
    assert config.weights_for("").pair == (1.0, 0.1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("xquad-de", ("de", "de")),
        ("afriqa-test-hau_en", ("ha", "en")),
        ("mrtydi-v1.1-arabic", ("ar", "ar")),
        ("mldr-v1.0-zh", ("zh", "zh")),
        ("drcd-dev-zh_Hant", ("zh-Hant", "zh-Hant")),
        ("scifact-test", None),
        ("trec-covid", None),
        ("nq", None),
    ],
)
def test_a_name_tells_its_languages(name: str, expected: tuple[str, str] | None) -> None:
    found = languages_of(name)
    assert (found and (found.query, found.document)) == expected
