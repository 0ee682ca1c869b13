"""Training rows → the formats of other trainers and evaluators, row by row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Row = dict[str, Any]


def flagembedding(rows: Iterable[Row]) -> Iterator[str]:
    """Yield FlagEmbedding's fine-tuning lines; scores are the teacher's, where all have one."""
    for row in rows:
        line = {
            "query": row["query"],
            "pos": row["positives"],
            "neg": row["negatives"],
            "pos_id": row["positive_ids"],
            "neg_id": row["negative_ids"],
            "prompt": "",
            "type": "normal",
        }
        scores = [row[f"{side}_teacher_scores"] for side in ("positive", "negative")]
        if all(found is not None and None not in found for found in scores):
            line |= {"pos_scores": scores[0], "neg_scores": scores[1]}
        yield _json(line)


def triplets(rows: Iterable[Row]) -> Iterator[str]:
    """Yield anchor, positive and negative of sentence-transformers for each pair of the two."""
    for row in rows:
        for positive in row["positives"]:
            for negative in row["negatives"]:
                yield _json({"anchor": row["query"], "positive": positive, "negative": negative})


def n_tuples(rows: Iterable[Row], negatives: int) -> Iterator[str]:
    """Yield anchor, positive, negative_1 … negative_n; rows with fewer negatives are left out."""
    for row in rows:
        if len(row["negatives"]) < negatives:
            continue
        others = {f"negative_{i}": row["negatives"][i - 1] for i in range(1, negatives + 1)}
        for positive in row["positives"]:
            yield _json({"anchor": row["query"], "positive": positive} | others)


def labelled_lists(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a query with all its passages and their labels, 1 for positives."""
    for row in rows:
        yield _json(
            {
                "query": row["query"],
                "passages": [*row["positives"], *row["negatives"]],
                "labels": [1] * len(row["positives"]) + [0] * len(row["negatives"]),
            }
        )


def trec_run(rows: Iterable[Row]) -> Iterator[str]:
    """Yield `query Q0 passage rank score tag` of positives and negatives, best first.

    Passages without a score are left out; ranks are from 1. White space in ids becomes `_`.
    """
    for row in rows:
        sides = ("positive", "negative")
        if any(len(row[f"{side}_scores"]) != len(row[f"{side}s"]) for side in sides):
            continue
        names = [name for side in sides for name in row[f"{side}_ids"]]
        scores = [score for side in sides for score in row[f"{side}_scores"]]
        order = sorted(range(len(names)), key=lambda i: (-scores[i], i))
        for rank, i in enumerate(order, 1):
            yield f"{_name(row['id'])} Q0 {_name(names[i])} {rank} {scores[i]:.6f} threefold"


def trec_qrels(rows: Iterable[Row]) -> Iterator[str]:
    """Yield `query 0 passage 1` of positives, and 0 of the negatives that a data set names."""
    for row in rows:
        for name in row["positive_ids"]:
            yield f"{_name(row['id'])} 0 {_name(name)} 1"
        for name, source in zip(row["negative_ids"], row["negative_sources"], strict=True):
            if source == "labelled":
                yield f"{_name(row['id'])} 0 {_name(name)} 0"


def _json(value: Row) -> str:
    return json.dumps(value, ensure_ascii=False)


def _name(identity: str) -> str:
    return "_".join(identity.split())


FORMATS: dict[str, tuple[Callable[[Iterable[Row]], Iterator[str]], str]] = {
    "flagembedding": (flagembedding, "rows.jsonl"),
    "triplets": (triplets, "triplets.jsonl"),
    "labelled-lists": (labelled_lists, "labelled-lists.jsonl"),
    "trec-run": (trec_run, "run.trec"),
    "trec-qrels": (trec_qrels, "qrels.trec"),
}
N_TUPLES = "n-tuples"
NAMES: Sequence[str] = (*FORMATS, N_TUPLES)
