"""The part of the evaluation's report to read: where dense and sparse retrieval disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.markup import escape, section, text

Row = Mapping[str, Any]
_SETS = 8  # each with up to six queries a model: more is not read


def examples(sets: Sequence[Row]) -> str:
    """Return the queries that one head answers and the other does not, by set and model."""
    parts = [
        _group(one, model, found)
        for one in sets
        for model, found in one["examples"].items()
        if found
    ]
    note = (
        "Queries with the largest difference in nDCG@10 between the dense and the sparse head, and "
        "the first documents of each; relevant ones in bold."
    )
    return section("Where dense and sparse disagree", note, *parts[:_SETS])


def _group(one: Row, model: str, found: Sequence[Row]) -> str:
    articles = "".join(f"<article>{_example(one, example)}</article>" for example in found)
    return (
        f"<details><summary>{escape(one['name'])} <span>{escape(model)}</span></summary>"
        f'<div class="read">{articles}</div></details>'
    )


def _example(one: Row, example: Row) -> str:
    told = (
        f"{example['better']} finds it · dense {example['dense']:.2f}, "
        f"sparse {example['sparse']:.2f}"
    )
    language, documents = one["language"], one["document_language"]
    relevant = "".join(text(excerpt, "t", documents) for excerpt in example["relevant"])
    return (
        f'<p class="meta">{escape(told)}</p>'
        + text(example["query"], "q", language)
        + f"<h4>relevant</h4>{relevant}"
        + "".join(_found(mode, example["found"][mode]) for mode in ("dense", "sparse"))
    )


def _found(mode: str, listed: Sequence[Row]) -> str:
    items = "".join(
        f'<li dir="auto"{" class=yes" if row["is_relevant"] else ""}>{escape(row["text"])}</li>'
        for row in listed
    )
    return f'<h4>{escape(mode)}</h4><ol class="found">{items}</ol>'
