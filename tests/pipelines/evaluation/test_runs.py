"""Run files and judgements: what is written scores as trec_eval scores it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import InputError
from pipelines.evaluation import comparing
from pipelines.evaluation.formats import files
from pipelines.evaluation.retrieval import sort
from pipelines.evaluation.runs import Run, named, read_run, write_qrels, write_run
from pipelines.evaluation.sets import RetrievalSet
from train.metrics import evaluate

# Ties, a judged query that is missing, one whose relevant documents are not found, grades, a
# query nobody judged, a document with a query's id, scores that fp32 cannot tell apart.
RUN: Run = {
    "ties": {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.5},
    "lost": {"a": 3.0, "b": 2.0},
    "graded": {"d": 4.0, "c": 3.0, "b": 2.0, "a": 1.0},
    "unjudged": {"a": 1.0},
    "q1": {"q1": 2.0, "a": 1.0},
    "close": {"a": 1.0, "b": 1.0 + 1e-9, "c": 0.25},
    "deep": {f"x{i:03d}": 1000.0 - i for i in range(150)},
}
JUDGED = {
    "ties": {"a": 1, "d": 1},
    "missing": {"a": 1},
    "lost": {"z": 1, "y": 2},
    "graded": {"a": 3, "b": 2, "c": 1, "d": 0, "z": 3},
    "q1": {"q1": 1},
    "close": {"a": 1},
    "deep": {"x009": 1, "x010": 1, "x019": 1, "x099": 1, "x100": 1},
}


def written(folder: Path) -> tuple[Path, Path]:
    run, qrels = folder / "a.trec", folder / "a.qrels"
    write_run(str(run), RUN, "our model")
    write_qrels(str(qrels), JUDGED)
    return run, qrels


def test_our_values_are_trec_evals_on_the_files(tmp_path: Path) -> None:
    """pytrec_eval's own readers on the files give what we computed from memory, to the last bit."""
    run, qrels = written(tmp_path)
    with run.open() as one, qrels.open() as other:
        ranked, judged = pytrec_eval.parse_run(one), pytrec_eval.parse_qrel(other)
    evaluator = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.20,100"})
    theirs = evaluator.evaluate(ranked)
    ours = evaluate(RUN, JUDGED)
    assert set(ours) == set(JUDGED)
    assert set(theirs) == set(JUDGED) - {"missing"}
    for query, values in theirs.items():
        assert ours[query]["nDCG@10"] == values["ndcg_cut_10"]
        assert ours[query]["Recall@20"] == values["recall_20"]
        assert ours[query]["Recall@100"] == values["recall_100"]
    assert set(ours["missing"].values()) == {0.0}
    assert ours["q1"]["nDCG@10"] == 1.0
    assert ours["ties"]["MRR@10"] == 1 / 3  # trec_eval puts the larger id first: c, b, a
    assert ours["close"]["MRR@10"] == 1 / 2  # and knows fp32 only: b, a
    assert ours["lost"]["Recall@100"] == 0.0


def test_our_values_are_ir_measures(tmp_path: Path) -> None:
    """The same files through ir-measures: each query's value, also of the missing one.

    It cuts the reciprocal rank at 10 itself and leaves tied scores in the file's order, where
    trec_eval has larger ids first: ties are compared without it.
    """
    ir_measures = pytest.importorskip("ir_measures")
    run, qrels = written(tmp_path)
    measures = {
        name: ir_measures.parse_measure(name) for name in ("nDCG@10", "R@20", "R@100", "RR@10")
    }
    names = {"R@20": "Recall@20", "R@100": "Recall@100", "RR@10": "MRR@10"}
    ours = evaluate(RUN, JUDGED)
    theirs = ir_measures.iter_calc(
        list(measures.values()),
        list(ir_measures.read_trec_qrels(str(qrels))),
        list(ir_measures.read_trec_run(str(run))),
    )
    seen = 0
    for value in theirs:
        name = next(n for n, m in measures.items() if m == value.measure)
        if name == "RR@10" and value.query_id in ("ties", "close"):
            continue
        assert ours[value.query_id][names.get(name, name)] == pytest.approx(value.value, abs=1e-12)
        seen += 1
    assert seen == 4 * len(JUDGED) - 2


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40))
def test_a_run_reads_back_as_it_was(scores: list[float]) -> None:
    """Scores are fp32, and nine digits are enough to find each again."""
    run: Run = {"q": {f"d{i}": score for i, score in enumerate(scores)}}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a.trec"
        write_run(path, run, "tag")
        lines = [line.split() for line in files.lines(path)]
        back = {name: np.float32(score) for name, score in read_run(path)["q"].items()}
        assert back == run["q"]
    assert [int(line[3]) for line in lines] == list(range(1, len(scores) + 1))
    order = [(np.float32(line[4]), line[2]) for line in lines]
    assert order == sorted(order, reverse=True)


def test_no_document_is_dropped_for_its_id() -> None:
    """A document called as the query is as good as any other; -1 is none."""
    data = RetrievalSet("s", ["7", "8"], ["a", "b"], ["7", "8", "9"], ["x", "y", "z"], {})
    scores = np.array([[3, 2, -np.inf], [1, 2, 3]], np.float32)
    numbers = np.array([[0, 2, -1], [0, 1, 2]])
    assert named(sort(scores, numbers), data, 2) == {"7": {"7": 3, "9": 2}, "8": {"9": 3, "8": 2}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q Q0 d 1 0.5", "line 2: 5 columns, not query Q0 document rank score tag"),
        ("q Q0 d 1 high t", "line 2: the score 'high' is no number"),
    ],
    ids=["columns", "score"],
)
def test_a_wrong_line_of_a_run_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.trec").write_text(f"q Q0 c 1 0.5 t\n{line}\n")
    with pytest.raises(InputError, match=message):
        read_run(str(tmp_path / "a.trec"))


def test_run_files_of_any_system_are_compared(tmp_path: Path) -> None:
    """Means, and the difference to the first with interval and p."""
    judged = {f"q{i}": {"a": 1} for i in range(40)}
    write_qrels(str(tmp_path / "x.qrels"), judged)
    good, bad = {q: {"a": 2.0, "b": 1.0} for q in judged}, {q: {"a": 1.0, "b": 2.0} for q in judged}
    write_run(str(tmp_path / "good.trec"), good, "t")
    write_run(str(tmp_path / "bad.trec"), bad, "t")
    shown = comparing.compare_files(
        [str(tmp_path / n) for n in ("x.qrels", "bad.trec", "good.trec")]
    )
    lines = [line.split() for line in shown.splitlines()]
    assert [str(tmp_path / "good.trec"), "1.0000*", "1.0000", "1.0000", "1.0000"] in lines
    assert [str(tmp_path / "bad.trec"), "0.6309", "1.0000", "1.0000", "0.5000"] in lines
    assert [str(tmp_path / "good.trec"), "+0.3691", "+0.3691", "..", "+0.3691", "0.0010"] in lines
