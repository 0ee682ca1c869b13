"""Pairs as `make curate` leaves them, and the command that mines for them, run on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation import manifest, storage
from curation.records import PAIR, Pair, to_table
from tests.builders import articles
from tests.command_line import Result, run

TITLE_BODY = {"relation": "title-body", "source": "test"}


def pair(query: str, positive: str, language: str = "en", **fields: Any) -> Pair:
    """Return a pair in one language."""
    given = {**TITLE_BODY, "query_language": language, "language": language, **fields}
    return Pair(query, positive, **given)


def questions(count: int) -> list[Pair]:
    """Return questions about distinct articles."""
    return [
        pair(f"Who built the lighthouse of {a['title']}?", a["text"], document_id=f"d{i:03d}")
        for i, a in enumerate(articles("en", count))
    ]


def write_pairs(out: Path, pairs: Iterable[Pair]) -> None:
    """Write the `pairs` folder of a run."""
    write_folder(out / "pairs", to_table(list(pairs), PAIR))


def write_documents(out: Path, titles: Mapping[str, str]) -> None:
    """Write of the `documents` folder what mining reads: ids and titles."""
    table = pa.table({"id": list(titles), "title": list(titles.values())})
    write_folder(out / "documents", table)


def write_folder(folder: Path, table: pa.Table) -> None:
    """Write a complete folder of one part."""
    name = "part-00000.parquet"
    part = storage.write_parquet(str(folder / name), table)
    description = {"fingerprint": "test", "config": {}, "inputs": []}
    manifest.publish(str(folder), description, [part | {"name": name}])


def write_config(out: Path, encoder: str, mining: Mapping[str, Any], **model: Any) -> Path:
    """Write a config that mines for all pairs; tables are written in JSON, which TOML's are too."""
    chosen = {"relations": ["title-body"], "max_positive_ratio": 0.0, **mining}
    model = {"encoder": encoder, "max_query_tokens": 32, "max_passage_tokens": 64, **model}
    lines = [f"out = {json.dumps(str(out))}", "splits.held_out = 0.0"]
    lines += [f"model.{name} = {toml(value)}" for name, value in model.items()]
    chosen["encode"] = {"dtype": "fp32", "store": "fp32", **chosen.get("encode", {})}
    lines += [f"mining.{name} = {toml(value)}" for name, value in chosen.items()]
    path = out / "run.toml"
    out.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def toml(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {toml(v)}" for name, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def try_to_mine(
    out: Path,
    encoder: str,
    pairs: Iterable[Pair],
    model: Mapping[str, Any] | None = None,
    **mining: Any,
) -> Result:
    """Write the pairs and run `mine-negatives` on them."""
    write_pairs(out, pairs)
    return run("mine-negatives", "--config", write_config(out, encoder, mining, **(model or {})))


def mine(out: Path, encoder: str, pairs: Iterable[Pair], **options: Any) -> list[dict[str, Any]]:
    """Return the training rows that are mined, ordered by query."""
    result = try_to_mine(out, encoder, pairs, **options)
    assert result.code == 0, result.err
    return rows_of(out)


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Return the training rows of a run, ordered by query and positive."""
    files = sorted((out / "training").rglob("*.parquet"))
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: (row["query"], row["positives"]))
