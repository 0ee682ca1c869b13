"""Every option of `[mining]` changes what is mined, or only how; a new one must join the table."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

from curation.records import Pair
from mining.config import FILTERS, MiningConfig
from mining.encode_config import EncodeConfig
from mining.index_config import IndexConfig
from mining.rescore_config import RescoreConfig
from tests.builders import articles
from tests.mining.mined import mine, pair, questions, write_documents

torch.set_num_threads(1)

BOTH = {"sources": ["dense", "bm25"]}
SHALLOW = {"depth": 3, "max_depth": 0}
HYBRID = {"rescore": {"by": "hybrid"}}
JUDGE = "JUDGE"  # stands for the folder of a cross-encoder
CROSS = {"rescore": {"by": "cross-encoder", "cross_encoder": JUDGE}}

Options = dict[str, Any]
ACTS: dict[str, tuple[Options, Options]] = {
    "relations": ({}, {"relations": ["title-body", "section"]}),
    "limits": ({}, {"limits": {"title-body": 5}}),
    "corpus": ({}, {"corpus": ["CORPUS"]}),
    "pool": ({"negatives": 20}, {"pool": "language"}),
    "negatives_from": ({}, {"negatives_from": "random"}),
    "negatives": ({}, {"negatives": 2}),
    "sources": ({}, {"sources": ["bm25"]}),
    "fusion": (BOTH, {"fusion": "weighted"}),
    "fusion_constant": (BOTH, {"fusion_constant": 0.0}),
    "fusion_weights": (BOTH | {"fusion": "weighted"}, {"fusion_weights": [1.0, 9.0]}),
    "depth": ({"max_depth": 0}, {"depth": 3}),
    "max_depth": ({"depth": 3}, {"max_depth": 0}),
    "filters": ({"negatives": 20}, {"filters": []}),
    "near_duplicate_threshold": ({"negatives": 20}, {"near_duplicate_threshold": 0.1}),
    "first_rank": ({}, {"first_rank": 2}),
    "last_rank": ({"sampling": "random"}, {"last_rank": 5}),
    "max_positive_ratio": ({}, {"max_positive_ratio": 0.98}),
    "absolute_margin": ({}, {"absolute_margin": 0.02}),
    "max_score": ({}, {"max_score": 0.9}),
    "sampling": ({}, {"sampling": "random"}),
    "simans_a": ({"sampling": "simans"}, {"simans_a": 1e5}),
    "simans_b": ({"sampling": "simans", "simans_a": 1e5}, {"simans_b": -0.2}),
    "starved": (SHALLOW, {"starved": "random"}),
    "seed": ({"sampling": "random"}, {"seed": 1}),
    "encode.dtype": ({}, {"encode": {"dtype": "bf16"}}),
    "encode.query_dtype": (
        {"encode": {"dtype": "bf16"}},
        {"encode": {"dtype": "bf16", "query_dtype": "same"}},
    ),
    "encode.store": ({}, {"encode": {"store": "fp16"}}),
    "rescore.by": ({}, HYBRID),
    "rescore.weights": (HYBRID, {"rescore": {"by": "hybrid", "weights": [0.0, 1.0, 0.0]}}),
    "rescore.depth": (HYBRID, {"rescore": {"by": "hybrid", "depth": 3}}),
    "rescore.cross_encoder": ({}, CROSS),
    "rescore.max_tokens": (CROSS, {"rescore": {**CROSS["rescore"], "max_tokens": 8}}),
}
SAME_ROWS: dict[str, Options] = {
    "encode.device": {"encode": {"device": "cpu"}},
    "encode.batch_tokens": {"encode": {"batch_tokens": 100}},
    "encode.part_texts": {"encode": {"part_texts": 7}},
    "encode.cache": {"encode": {"cache": "CACHE"}},
    "index.device": {"index": {"device": "cpu"}},
    "index.memory_mb": {"index": {"memory_mb": 64}},
    "index.recall_queries": {"index": {"recall_queries": 5}},
    "on_workers": {"on_workers": True},
    "samples": {"samples": 3},
    "part_mb": {"part_mb": 0.01},
}
INDEX = ("factory", "exact_pairs", "refine", "nprobe", "ef_search", "min_recall")
"""Decide how an approximate index is built and searched: tests/mining/test_dense_index.py."""


def options_of() -> set[str]:
    """Return the names of all options of the table and of its tables."""
    nested = {"encode": EncodeConfig, "index": IndexConfig, "rescore": RescoreConfig}
    names = {field.name for field in dataclasses.fields(MiningConfig)} - set(nested)
    for table, kind in nested.items():
        names |= {f"{table}.{field.name}" for field in dataclasses.fields(kind)}
    return names


def test_every_option_is_in_a_table() -> None:
    assert options_of() == {*ACTS, *SAME_ROWS, *(f"index.{name}" for name in INDEX)}


def corpus() -> list[Pair]:
    """Pairs with something for each filter, in two languages and two relations."""
    pairs = questions(12)
    en, fr = articles("en", 12), articles("fr", 20)[12:]
    pairs += [pair(f"Qui a construit le phare de {a['title']} ?", a["text"], "fr") for a in fr]
    more = [
        pair("a near duplicate", en[0]["text"].replace("evening", "morning")),
        pair("the same document", "The keeper has a dog that swims.", document_id="d001"),
        pair("equals a query", pairs[3].query.upper()),
        pair("a translation", "Le phare tient debout depuis deux siècles.", "fr"),
        pair("a section", "The harbour has two piers.", relation="section"),
    ]
    known = pair(pairs[4].query, more[3].positive, "fr", relation="parallel")
    return [*pairs, *more, known]


@pytest.fixture(scope="module")
def judge(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random cross-encoder with the tiny encoder's tokenizer."""
    folder = tmp_path_factory.mktemp("judge") / "model"
    shutil.copytree(tiny_encoder, folder)
    config = XLMRobertaConfig.from_pretrained(tiny_encoder, num_labels=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        XLMRobertaForSequenceClassification(config).save_pretrained(folder)
    return str(folder)


class Runs:
    """Runs of one corpus, each set of options once."""

    def __init__(self, folder: Path, encoder: str, judge: str) -> None:
        self.folder, self.encoder = folder, encoder
        self.found: dict[str, list[dict[str, Any]]] = {}
        (folder / "corpus.jsonl").write_text('{"text": "A lamp of brass, on a tower of stone."}\n')
        self.names = {
            "CORPUS": str(folder / "corpus.jsonl"),
            "CACHE": str(folder / "cache"),
            JUDGE: judge,
        }

    def rows(self, options: Options) -> list[dict[str, Any]]:
        """Return the rows that are mined."""
        text = json.dumps(options, sort_keys=True)
        if text not in self.found:
            for name, path in self.names.items():
                text = text.replace(f'"{name}"', json.dumps(path))
            out = self.folder / str(len(self.found))
            write_documents(out, {"d002": "The lighthouse", "d003": "the  lighthouse"})
            chosen = {"negatives": 4, **json.loads(text)}
            self.found[json.dumps(options, sort_keys=True)] = mine(
                out, self.encoder, corpus(), **chosen
            )
        return self.found[json.dumps(options, sort_keys=True)]


@pytest.fixture(scope="module")
def runs(tiny_encoder: str, judge: str, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"), tiny_encoder, judge)


@pytest.mark.parametrize("option", ACTS)
def test_an_option_changes_the_rows(runs: Runs, option: str) -> None:
    base, change = ACTS[option]
    rows, others = runs.rows(base), runs.rows(base | change)
    assert rows
    assert others
    assert rows != others


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_changes_the_rows(runs: Runs, name: str) -> None:
    """Without it there is a negative more somewhere."""
    whole = runs.rows({"negatives": 40})
    kept = [other for other in FILTERS if other != name]
    others = runs.rows({"negatives": 40, "filters": kept})
    assert sum(len(r["negatives"]) for r in others) > sum(len(r["negatives"]) for r in whole)


@pytest.mark.parametrize("option", SAME_ROWS)
def test_an_option_of_speed_or_files_does_not(runs: Runs, option: str) -> None:
    """The same negatives; scores may differ in the last digits of fp32."""
    rows, others = runs.rows({}), runs.rows(SAME_ROWS[option])
    assert [row["negative_ids"] for row in rows] == [row["negative_ids"] for row in others]
    for row, other in zip(rows, others, strict=True):
        assert row["negative_scores"] == pytest.approx(other["negative_scores"], abs=1e-6)
