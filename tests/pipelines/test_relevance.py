"""`filter-pairs` on small pairs with a tiny encoder: ranks, decisions, kills, reruns."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from curation import manifest, storage
from curation.records import PAIR, Pair, to_table
from curation.relevance import RelevanceConfig
from mining.encode import encode_dense
from pipelines import relevance
from pipelines.config import load as load_config
from pipelines.mining_inputs import input_manifests
from pipelines.work import Workspace
from tests.builders import PARAGRAPH, TOPICS
from tests.command_line import Result, digests, leftovers, run, run_until
from train.checkpoint import load as load_model

WORDS = " ".join([PARAGRAPH, *TOPICS.values()]).replace("{0}", "").replace("{1}", "").split()
PARTS = ("length=0-500/part-00000.parquet", "length=0-500/part-00001.parquet")


def make_pairs(count: int = 60) -> list[Pair]:
    """Return pairs whose query is a piece of the positive: half English, half French."""
    draw = random.Random(0)
    pairs = []
    for i in range(count):
        words = draw.sample(WORDS, 14)
        language = ("en", "fr")[i % 2]
        relation = "instruction-output" if i % 10 == 9 else "title-body"
        pairs.append(Pair(" ".join(words[:13]), " ".join(words), relation, language, language, "s"))
    pairs[40].positive = pairs[0].positive  # one text in both parts
    for i, pair in enumerate(pairs):
        pair.document_id = f"d{i // 6}" if i < 40 else ""
    return pairs


def write_pairs(out: Path, pairs: list[Pair]) -> None:
    parts, half = [], len(pairs) // 2
    for name, rows in zip(PARTS, (pairs[:half], pairs[half:]), strict=True):
        path = str(out / "pairs" / name)
        parts.append(storage.write_parquet(path, to_table(rows, PAIR)) | {"name": name})
    manifest.publish(str(out / "pairs"), {"fingerprint": "f"}, parts)


@pytest.fixture
def config(tmp_path: Path, tiny_encoder: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(
        f'out = "{tmp_path}/out"\n[model]\nencoder = "{tiny_encoder}"\npooling = "mean"\n'
        "max_query_tokens = 64\nmax_passage_tokens = 64\n"
        '[relevance]\nenabled = true\ndtype = "fp32"\nbatch_tokens = 256\n'
    )
    return path


def filter_pairs(config: Path, *options: str) -> Result:
    arguments = [word for option in options for word in ("--set", option)]
    return run("filter-pairs", "--config", config, *arguments)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    names = [p["name"] for p in storage.read_json(str(folder / "manifest.json"))["parts"]]
    return [row for name in names for row in pq.read_table(folder / name).to_pylist()]


def ranks_by_hand(pairs: list[Pair], encoder: str) -> dict[str, int]:
    """Return the rank of each positive among the distinct ones of its relation and language."""
    settings = load_config(None, ["model.max_query_tokens=64", "model.max_passage_tokens=64"])
    options = settings.model.__class__(
        encoder=encoder, pooling="mean", max_query_tokens=64, max_passage_tokens=64
    )
    model = load_model(encoder, options)
    sides = {
        is_query: encode_dense(model, texts, is_query=is_query, budget=256, dtype="fp32")
        for is_query, texts in (
            (True, [p.query for p in pairs]),
            (False, [p.positive for p in pairs]),
        )
    }
    halves = {side: found.astype(np.float16).astype(np.float32) for side, found in sides.items()}
    scores = halves[True] @ halves[False].T
    found = {}
    for i, pair in enumerate(pairs):
        rivals = {
            p.positive: j
            for j, p in enumerate(pairs)
            if (p.relation, p.language) == (pair.relation, pair.language)
            and p.positive != pair.positive
            and not (p.document_id and p.document_id == pair.document_id)
        }
        found[pair.id] = 1 + sum(scores[i, j] > scores[i, i] for j in rivals.values())
    return found


def test_ranks_are_exact(config: Path, tmp_path: Path, tiny_encoder: str) -> None:
    """Each rank is that among distinct positives of the relation, language and other documents."""
    pairs = make_pairs()
    write_pairs(tmp_path / "out", pairs)
    assert filter_pairs(config).code == 0
    expected = ranks_by_hand(pairs, tiny_encoder)
    found = {row["id"]: row for row in rows_of(tmp_path / "out/pair-ranks")}
    ranked = [pair for pair in pairs if pair.relation == "title-body"]
    assert [found[p.id]["consistency_rank"] for p in ranked] == [expected[p.id] for p in ranked]
    assert len({expected[p.id] for p in ranked}) > 2
    for pair in pairs:
        if pair.relation != "title-body":
            assert found[pair.id]["consistency_rank"] is None
            assert found[pair.id]["consistency_score"] is None


def test_planted_mismatches_are_dropped(config: Path, tmp_path: Path) -> None:
    """Positives that changed places within a language rank low, and go with their rank."""
    pairs = [pair for pair in make_pairs(200) if pair.relation == "title-body"]
    planted = pairs[0:36:2]
    for pair, other in zip(planted, [p.positive for p in (*planted[1:], planted[0])], strict=True):
        pair.positive = other
    write_pairs(tmp_path / "out", pairs)
    result = filter_pairs(config)
    rejects = {row["id"]: row for row in rows_of(tmp_path / "out/rejects/filter-pairs")}
    kept = rows_of(tmp_path / "out/consistent-pairs")
    assert {row["reason"] for row in rejects.values()} == {"inconsistent_pair"}
    assert all(int(row["value"]) > 2 for row in rejects.values())
    assert {row["id"] for row in kept} | set(rejects) == {pair.id for pair in pairs}
    assert len(kept) + len(rejects) == len(pairs)
    assert all(row["consistency_rank"] <= 2 for row in kept)
    caught = sum(pair.id in rejects for pair in planted)
    assert caught >= 15
    assert len(rejects) - caught <= len(pairs) // 3
    counts = storage.read_json(str(tmp_path / "out/reports/filter-pairs.json"))["counts"]
    assert counts["ranked|title-body"] == len(pairs)
    assert counts["inconsistent|title-body"] == len(rejects)
    assert f"inconsistent_pair {len(rejects)}" in result.out
    assert "; next: make synth" in result.out
    assert leftovers(tmp_path / "out") == []


@pytest.mark.parametrize(
    "file",
    [
        "parts/00000-rows",
        "status/encode/00001",
        "status/rank/00001",
        "pair-ranks/manifest",
        "status/filter/00000",
        "consistent-pairs/_SUCCESS",
    ],
)
def test_a_killed_run_ends_with_the_same_bytes(config: Path, tmp_path: Path, file: str) -> None:
    """Killed after any step and started again, all folders are what they would have been."""
    out, folders = tmp_path / "out", ("pair-ranks", "consistent-pairs", "rejects")
    write_pairs(out, make_pairs())
    assert filter_pairs(config).code == 0
    expected = digests(*(out / name for name in folders))
    for name in folders:
        shutil.rmtree(out / name)
    assert run_until(file, "filter-pairs", "--config", config) == -9
    assert filter_pairs(config).code == 0
    assert digests(*(out / name for name in folders)) == expected
    assert leftovers(out) == []


def test_another_top_k_encodes_nothing(config: Path, tmp_path: Path) -> None:
    """Ranks are kept; a second run does nothing at all."""
    write_pairs(tmp_path / "out", make_pairs())
    assert "encode pairs" in filter_pairs(config).err
    first = len(rows_of(tmp_path / "out/consistent-pairs"))
    again = filter_pairs(config)
    assert again.err == ""
    assert again.out.count("up to date") == 2
    stricter = filter_pairs(config, "relevance.top_k=1")
    assert stricter.err == ""
    assert stricter.out.startswith("rank-pairs: up to date")
    rows = rows_of(tmp_path / "out/consistent-pairs")
    assert len(rows) < first
    assert {row["consistency_rank"] for row in rows} == {1, None}
    assert "encode pairs" in filter_pairs(config, "relevance.index=[]").err


def test_a_pool_is_drawn_and_bounded(tmp_path: Path) -> None:
    """At most `pool` distinct texts an index, the same for any order of parts, first part noted."""
    pairs = make_pairs()
    write_pairs(tmp_path, pairs)
    paths = tuple(str(tmp_path / "pairs" / name) for name in PARTS)

    def plan(pool: int, paths: tuple[str, ...] = paths) -> relevance.Pools:
        options = RelevanceConfig(pool=pool)
        return relevance.plan_pools(
            relevance.RankJob(
                config=options, workspace=Workspace(str(tmp_path)), parts=paths, names=PARTS
            )
        )

    whole, small, other = plan(1000), plan(5), plan(5, paths[::-1])
    assert whole.names == ["title-body\ten", "title-body\tfr"]
    assert [len(m) for m in whole.members] == [29, 24]  # 30 of English, one text twice
    for i in range(2):
        assert small.members[i]["hash"].tolist() == whole.members[i]["hash"][:5].tolist()
        assert small.members[i]["hash"].tolist() == other.members[i]["hash"].tolist()
    assert Counter(whole.members[0]["part"].tolist()) == {0: 15, 1: 14}


def test_mining_reads_what_was_kept(config: Path, tmp_path: Path) -> None:
    """With the filter on, mining asks for its output and not for all pairs."""
    write_pairs(tmp_path / "out", make_pairs())
    asked = run("mine-negatives", "--config", config, "--set", 'mining.relations=["title-body"]')
    assert (asked.code, "run: make filter-pairs" in asked.err) == (2, True)
    assert filter_pairs(config).code == 0
    loaded = load_config(str(config), ['mining.relations=["title-body"]'])
    assert list(input_manifests(loaded)) == ["consistent-pairs"]
    off = load_config(str(config), ['mining.relations=["title-body"]', "relevance.enabled=false"])
    assert list(input_manifests(off)) == ["pairs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "relevance.enabled=false"), "relevance.enabled is false"),
        (("--", "--runner=FlinkRunner"), "filter-pairs runs no Beam pipeline"),
        (("--set", "relevance.top_k=0"), "relevance.top_k"),
        (("--out", "/nowhere"), "run: make curate"),
    ],
)
def test_what_cannot_be_done_is_said(config: Path, arguments: Any, message: str) -> None:
    result = run("filter-pairs", "--config", config, *arguments)
    assert result.code == 2
    assert message in result.err
