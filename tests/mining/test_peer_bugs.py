"""What other miners get wrong without a word, each as a test of what must happen here.

Where a fault concerns one function it is tested beside that function; benchmarks/mining.md lists
all with their tests. These are about the whole command.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curation import manifest, storage
from curation.records import PAIR, to_table
from tests.command_line import digests, parts_only
from tests.mining.mined import (
    mine,
    pair,
    questions,
    try_to_mine,
    write_config,
    write_documents,
    write_pairs,
)
from tests.tiny import reinitialise
from train.checkpoint import load
from train.config import ModelConfig

torch.set_num_threads(1)


@pytest.fixture
def own_encoder(tiny_encoder: str, tmp_path: Path) -> Path:
    """A copy of the tiny encoder that a test may change."""
    return Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))


def negatives_of(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [row["negatives"] for row in rows]


def test_new_weights_under_an_old_name_are_encoded_anew(own_encoder: Path, tmp_path: Path) -> None:
    """A cache of vectors, or a finished output, of a folder's former weights is not used."""
    pairs, cache = questions(12), str(tmp_path / "cache")
    encode = {"cache": cache}
    before = mine(tmp_path / "a", str(own_encoder), pairs, encode=encode)
    reinitialise(own_encoder, seed=1)
    fresh = mine(tmp_path / "b", str(own_encoder), pairs)
    assert negatives_of(fresh) != negatives_of(before)
    assert mine(tmp_path / "c", str(own_encoder), pairs, encode=encode) == fresh
    assert mine(tmp_path / "a", str(own_encoder), pairs, encode=encode) == fresh


def test_new_titles_are_noticed(tiny_encoder: str, tmp_path: Path) -> None:
    """Filters read the run's documents, so rows of an earlier state of these are not up to date."""
    pairs = questions(6)
    write_documents(tmp_path, {"d000": "One", "d001": "Two"})
    before = mine(tmp_path, tiny_encoder, pairs)
    write_documents(tmp_path, {"d000": "One", "d001": "one"})
    after = mine(tmp_path, tiny_encoder, pairs)
    lengths = [[len(row["negatives"]) for row in rows] for rows in (before, after)]
    assert [sum(found) for found in lengths] == [30, 28]


@pytest.mark.parametrize(
    "model",
    [
        {"query_prompt": "query: "},
        {"pooling": "mean"},
    ],
    ids=str,
)
def test_a_cache_knows_how_texts_are_encoded(
    tiny_encoder: str, tmp_path: Path, model: dict[str, Any]
) -> None:
    """Prompts, lengths and pooling make other vectors, so a shared cache changes nothing."""
    pairs, cached = questions(12), {"encode": {"cache": str(tmp_path / "cache")}}
    mine(tmp_path / "a", tiny_encoder, pairs, **cached)
    second = mine(tmp_path / "b", tiny_encoder, pairs, model=model, **cached)
    assert second == mine(tmp_path / "c", tiny_encoder, pairs, model=model)


def test_all_positives_of_a_question_are_known(tiny_encoder: str, tmp_path: Path) -> None:
    """Rows that share a question, however it is written, do not mine each other's positives."""
    pairs = questions(10)
    again = pair(pairs[0].query.upper() + " ", pairs[5].positive, document_id="d005")
    rows = mine(tmp_path, tiny_encoder, [*pairs, again], negatives=20)
    answers = {pairs[0].positive, pairs[5].positive}
    own = [row for row in rows if row["query"].casefold().strip() == pairs[0].query.casefold()]
    assert len(own) == 2
    for row in own:
        assert len(row["negatives"]) == 8
        assert not answers & set(row["negatives"])


def test_copies_of_a_positive_are_no_negatives(tiny_encoder: str, tmp_path: Path) -> None:
    """Case, spacing and punctuation do not make another passage."""
    pairs = questions(8)
    text = pairs[0].positive
    copies = [text.upper(), text.replace(" ", "  "), text.replace(".", " !"), text + " \u00a0"]
    more = [pair(f"other {n}", copy) for n, copy in enumerate(copies)]
    rows = mine(tmp_path, tiny_encoder, [*pairs, *more], negatives=20)
    row = next(row for row in rows if row["query"] == pairs[0].query)
    assert not {" ".join(t.split()) for t in [*copies, text]} & {
        " ".join(t.split()) for t in row["negatives"]
    }
    assert len(row["negatives"]) == 7


def test_a_passage_that_equals_the_query_is_no_negative(tiny_encoder: str, tmp_path: Path) -> None:
    pairs = questions(6)
    more = pair("another question", pairs[0].query.lower())
    rows = mine(tmp_path, tiny_encoder, [*pairs, more], negatives=20)
    row = next(row for row in rows if row["query"] == pairs[0].query)
    assert len(row["negatives"]) == 5
    assert more.positive not in row["negatives"]


@pytest.mark.parametrize(
    ("count", "starved"), [(1, "fewer"), (1, "random"), (5, "fewer"), (5, "random"), (5, "drop")]
)
def test_a_pool_smaller_than_what_is_wanted_ends(
    tiny_encoder: str, tmp_path: Path, count: int, starved: str
) -> None:
    """Each row gets what there is, once, as texts; a policy decides, no endless search."""
    pairs = questions(count)
    rows = mine(tmp_path, tiny_encoder, pairs, negatives=7, starved=starved)
    assert len(rows) == (0 if starved == "drop" else count)
    for row in rows:
        others = {p.positive for p in pairs} - set(row["positives"])
        assert sorted(row["negatives"]) == sorted(others)


def test_random_fill_repeats_nothing_and_keeps_the_rules(tiny_encoder: str, tmp_path: Path) -> None:
    """Filled rows have neither their positives nor a passage twice."""
    pairs = questions(12)
    options = {"depth": 3, "max_depth": 0, "starved": "random", "negatives": 10}
    rows = mine(tmp_path, tiny_encoder, pairs, **options)
    assert any("random" in row["negative_sources"] for row in rows)
    for row in rows:
        assert len(set(row["negatives"])) == len(row["negatives"]) == 10
        assert not set(row["positives"]) & set(row["negatives"])


def test_scores_are_numbers_whatever_was_found(tiny_encoder: str, tmp_path: Path) -> None:
    """Too few survivors give shorter lists, never rows of -inf; every negative has its score."""
    options = {"negatives": 9, "depth": 4, "max_depth": 0, "max_positive_ratio": 1.0}
    rows = mine(tmp_path, tiny_encoder, questions(12), **options)
    lengths = {len(row["negatives"]) for row in rows}
    assert lengths <= set(range(5))
    assert len(lengths) > 1
    for row in rows:
        assert len(row["negative_scores"]) == len(row["negative_ids"]) == len(row["negatives"])
        assert np.isfinite([*row["negative_scores"], *row["positive_scores"]]).all()


def test_the_same_rows_in_another_process_and_hash_order(tiny_encoder: str, tmp_path: Path) -> None:
    """Sampling follows the seed: not the process, not the order of a set of strings."""
    options = {"negatives": 3, "sampling": "random", "starved": "random", "depth": 4}
    mine(tmp_path / "a", tiny_encoder, questions(20), **options)
    write_pairs(tmp_path / "b", questions(20))
    config = write_config(tmp_path / "b", tiny_encoder, options)
    command = [sys.executable, "-m", "pipelines", "mine-negatives", "--config", str(config)]
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    first, second = (parts_only(digests(tmp_path / run / "training")) for run in "ab")
    assert first
    assert first == second


def test_the_order_of_the_pairs_does_not_matter(tiny_encoder: str, tmp_path: Path) -> None:
    """Nor does what else is mined for: draws belong to a row and a passage."""
    options = {"negatives": 3, "sampling": "random"}
    rows = mine(tmp_path / "a", tiny_encoder, questions(20), **options)
    assert mine(tmp_path / "b", tiny_encoder, questions(20)[::-1], **options) == rows
    assert mine(tmp_path / "c", tiny_encoder, questions(20), seed=1, **options) != rows


def test_a_query_of_many_positives_does_not_widen_others(tiny_encoder: str, tmp_path: Path) -> None:
    """Other rows have the ranks that they have without it."""
    pairs = questions(60)
    many = [pair("Which lighthouses are there?", p.positive) for p in pairs[10:]]
    alone = mine(tmp_path / "a", tiny_encoder, pairs, negatives=3, depth=4)
    beside = mine(tmp_path / "b", tiny_encoder, [*pairs, *many], negatives=3, depth=4)
    own = [row for row in beside if row["query"] != many[0].query]
    assert negatives_of(own) == negatives_of(alone)
    assert all(len(row["negatives"]) == 3 for row in beside)


CONTRADICTIONS = [
    ({"first_rank": 5, "last_rank": 6, "negatives": 3}, "last_rank"),
    ({"fusion_weights": [1.0]}, "fusion_weights"),
    ({"sources": []}, "sources"),
    ({"rescore": {"cross_encoder": "folder"}}, "cross_encoder"),
    ({"rescore": {"by": "cross-encoder"}}, "cross_encoder"),
    ({"rescore": {"by": "hybrid"}, "negatives_from": "random"}, "rescore"),
    ({"margin": 0.1}, "margin"),
    ({"sampling": "best"}, "sampling"),
]


@pytest.mark.parametrize(("options", "named"), CONTRADICTIONS, ids=str)
def test_contradictory_and_unknown_options_are_refused_by_name(
    tiny_encoder: str, tmp_path: Path, options: dict[str, Any], named: str
) -> None:
    """No warning that nobody reads, no option that silently does nothing."""
    result = try_to_mine(tmp_path, tiny_encoder, questions(4), **options)
    assert result.code == 2
    assert named in result.err
    assert not (tmp_path / "training").exists()


def test_a_missing_column_of_a_corpus_is_named(tiny_encoder: str, tmp_path: Path) -> None:
    """Passages without text are an error, not empty passages."""
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(json.dumps({"docid": "1", "document_text": "The sea."}) + "\n")
    result = try_to_mine(tmp_path / "out", tiny_encoder, questions(4), corpus=[str(corpus)])
    assert result.code == 2
    assert "`text`" in result.err
    assert "document_text" in result.err


def test_a_missing_column_of_the_pairs_is_named(tiny_encoder: str, tmp_path: Path) -> None:
    name = "part-00000.parquet"
    table = to_table(questions(4), PAIR).drop_columns(["positive"])
    part = storage.write_parquet(str(tmp_path / "pairs" / name), table)
    description = {"fingerprint": "test", "config": {}, "inputs": []}
    manifest.publish(str(tmp_path / "pairs"), description, [part | {"name": name}])
    from tests.command_line import run

    result = run("mine-negatives", "--config", write_config(tmp_path, tiny_encoder, {}))
    assert result.code == 2
    assert "positive" in result.err
    assert name in result.err


def test_new_heads_do_not_depend_on_what_was_drawn_before(tiny_encoder: str) -> None:
    """Weights that a checkpoint lacks start from the seed alone."""
    states, config = [], ModelConfig(max_passage_tokens=64, max_query_tokens=64, colbert_dim=8)
    for noise in (1, 2):
        torch.manual_seed(noise)
        states.append(load(tiny_encoder, config, seed=3).state_dict())
    other = load(tiny_encoder, config, seed=4).state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["colbert_linear.weight"], other["colbert_linear.weight"])
