"""Which answers are mined as negatives, with our filters on and off and with the peers' options.

    python -m benchmarks.mining_planted DATA WORK MODEL --peer-python PYTHON --hn-mine hn_mine.py
        [--count 60] [--tokens 64]

MODEL is a multilingual-e5-small folder. `benchmarks.mining_truth` plants answers beside each
question's positive. All systems search the same passages and mine 7 negatives; printed is the share
of mined negatives that are planted, by kind, and how many negatives a question got.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.mining_peers import ONE_THREAD
from benchmarks.mining_truth import Case, all_cases, passages_in
from curation import manifest, storage
from curation.records import PAIR, Pair, to_table
from tests.command_line import run

NEGATIVES = 7
OFF: dict[str, Any] = {"filters": [], "max_positive_ratio": 0.0}
FILTERS = ("near_duplicate", "same_document", "same_title", "equals_query", "translation")
OURS: dict[str, dict[str, Any]] = {
    "nothing on": OFF,
    **{f"{name} alone": OFF | {"filters": [name]} for name in FILTERS},
    "all filters": OFF | {"filters": list(FILTERS)},
    "ratio 0.95 alone": OFF | {"max_positive_ratio": 0.95},
    "all filters, ratio 0.95 (default)": {},
}
THEIRS: dict[str, dict[str, Any]] = {
    "sentence-transformers, defaults": {},
    "sentence-transformers, relative_margin 0.05": {"relative_margin": 0.05},
    "sentence-transformers, range_min 10": {"range_min": 10},
}
RANGES = ("2-200", "10-210")

Mined = dict[str, list[str]]


def write_run(cases: Sequence[Case], out: Path) -> None:
    """Write `pairs` and `documents` as curation leaves them: what is known, where it is known."""
    pairs, titles = [], {}
    for number, case in enumerate(cases):
        texts = (case.positive, *case.planted)
        for place, text in enumerate(texts):
            document = case.document or (f"d{number}-{place}" if case.title else "")
            titles |= {document: case.title} if case.title else {}
            query, relation = (case.query, "title-body") if not place else (text[:40], "section")
            pairs.append(_pair(query, text, relation, document))
        pairs += [_pair(query, text, "parallel", "") for query, text in case.parallel]
    _write(out / "pairs", to_table(pairs, PAIR))
    _write(out / "documents", pa.table({"id": list(titles), "title": list(titles.values())}))


def _pair(query: str, positive: str, relation: str, document: str) -> Pair:
    return Pair(query, positive, relation, "und", "und", "planted", document_id=document)


def _write(folder: Path, table: pa.Table) -> None:
    name = "part-00000.parquet"
    part = storage.write_parquet(str(folder / name), table)
    description = {"fingerprint": "planted", "config": {}, "inputs": []}
    manifest.publish(str(folder), description, [part | {"name": name}])


def ours(arguments: argparse.Namespace, name: str, options: dict[str, Any]) -> Mined:
    """Return what we mine; all runs share their vectors."""
    out = arguments.work / "ours"
    lines = [
        f"out = {json.dumps(str(out))}",
        "splits.held_out = 0.0",
        f"model.encoder = {json.dumps(arguments.model)}",
        'model.pooling = "mean"',
        'model.query_prompt = "query: "',
        'model.passage_prompt = "passage: "',
        f"model.max_query_tokens = {arguments.tokens}",
        f"model.max_passage_tokens = {arguments.tokens}",
        'mining.relations = ["title-body"]',
        'mining.corpus = ["pairs"]',
        f"mining.negatives = {NEGATIVES}",
        *(f"mining.{key} = {json.dumps(value)}" for key, value in options.items()),
    ]
    path = arguments.work / "run.toml"
    path.write_text("\n".join(lines))
    result = run("mine-negatives", "--config", path)
    assert result.code == 0, f"{name}: {result.err}"
    files = (out / "training").rglob("*.parquet")
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    return {row["query"]: row["negatives"] for row in rows}


def sentence_transformers(arguments: argparse.Namespace, options: dict[str, Any]) -> Mined:
    """Return what `mine_hard_negatives` mines."""
    work, out = arguments.work, arguments.work / "st.jsonl"
    given = {
        "tokens": arguments.tokens,
        "corpus": str(work / "corpus.jsonl"),
        "cache_folder": str(work / "st-cache"),
        "query_prompt": "query: ",
        "corpus_prompt": "passage: ",
        "num_negatives": NEGATIVES,
        "verbose": False,
        **options,
    }
    script = Path(__file__).with_name("mining_st.py")
    _run(arguments, script, work / "pairs.jsonl", out, arguments.model, json.dumps(given))
    found: Mined = {}
    for row in _lines(out):
        found.setdefault(row["query"], []).extend(row["positive"][1:])
    return found


def flag_embedding(arguments: argparse.Namespace, ranks: str) -> Mined:
    """Return what `hn_mine.py` mines; it has no prompt for passages, so these carry theirs."""
    work, out = arguments.work, arguments.work / "fe.jsonl"
    options = {
        "input_file": work / "prompted.jsonl",
        "candidate_pool": work / "prompted-corpus.jsonl",
        "output_file": out,
        "range_for_sampling": ranks,
        "negative_number": NEGATIVES,
        "embedder_name_or_path": arguments.model,
        "embedder_model_class": "encoder-only-base",
        "pooling_method": "mean",
        "query_instruction_for_retrieval": "query: ",
        "use_fp16": False,
        "devices": "cpu",
        "batch_size": 16,
        "embedder_passage_max_length": arguments.tokens,
        "embedder_query_max_length": arguments.tokens,
    }
    listed = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    _run(arguments, arguments.hn_mine, *listed)
    return {row["query"]: [t.removeprefix("passage: ") for t in row["neg"]] for row in _lines(out)}


def _run(arguments: argparse.Namespace, *words: object) -> None:
    command = [arguments.peer_python, *map(str, words)]
    with (arguments.work / "peer.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, env=os.environ | ONE_THREAD)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as handle:
        yield from map(json.loads, handle)


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_for_peers(cases: Sequence[Case], work: Path) -> None:
    """Write pairs and passages as JSON lines, with the passages' prompt and without."""
    for prompt, pairs, corpus in (
        ("", "pairs", "corpus"),
        ("passage: ", "prompted", "prompted-corpus"),
    ):
        rows = [{"query": case.query, "pos": [prompt + case.positive]} for case in cases]
        write_lines(work / f"{pairs}.jsonl", rows)
        texts = [{"text": prompt + text} for text in passages_in(cases)]
        write_lines(work / f"{corpus}.jsonl", texts)


def row(name: str, cases: Sequence[Case], mined: Mined) -> str:
    """Return a row of the table: the share of planted negatives by kind, and negatives a query."""
    cells = []
    for kind in dict.fromkeys(case.kind for case in cases):
        own = [case for case in cases if case.kind == kind]
        negatives = [text for case in own for text in mined.get(case.query, ())]
        planted = sum(t in case.planted for case in own for t in mined.get(case.query, ()))
        cells.append(f"{planted / max(1, len(negatives)):.1%}")
    mean = sum(len(mined.get(case.query, ())) for case in cases) / len(cases)
    return "| " + " | ".join((name, *cells, f"{mean:.2f}")) + " |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("model")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--hn-mine", default="")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=64)
    arguments = parser.parse_args()
    cases = all_cases(arguments.data, arguments.count)
    write_run(cases, arguments.work / "ours")
    write_for_peers(cases, arguments.work)
    kinds = dict.fromkeys(case.kind for case in cases)
    print(f"{len(cases)} questions, {len(passages_in(cases))} passages")
    print("| " + " | ".join(("", *kinds, "negatives")) + " |", flush=True)
    for name, options in OURS.items():
        print(row(name, cases, ours(arguments, name, options)), flush=True)
    if not arguments.hn_mine:
        return
    for name, options in THEIRS.items():
        print(row(name, cases, sentence_transformers(arguments, options)), flush=True)
    for ranks in RANGES:
        mined = flag_embedding(arguments, ranks)
        print(row(f"FlagEmbedding, range {ranks}", cases, mined), flush=True)


if __name__ == "__main__":
    main()
