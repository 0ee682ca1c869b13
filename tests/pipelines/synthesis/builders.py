"""Documents to ask about, jobs over them, and one call of `make synth`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curation import manifest, storage
from curation.records import DOCUMENT, Document, Section, to_table
from curation.synthesis.config import SynthesisConfig
from pipelines import synth
from pipelines.work import Workspace
from tests.builders import articles
from tests.command_line import Result, run

CONFIG = SynthesisConfig(
    base_url="http://x",
    model="m",
    prompt="base",
    documents_per_language=3,
    min_document_characters=100,
    max_document_characters=1000,
    min_paragraph_characters=50,
)
TOML = """\
out = "{out}"
[model]
encoder = "{encoder}"
pooling = "mean"
max_query_tokens = 48
max_passage_tokens = 64
[synthesis]
base_url = "{url}"
model = "asked"
prompt = "base"
documents = 30
min_document_characters = 100
min_paragraph_characters = 60
max_attempts = 1
[synthesis.round_trip]
dtype = "fp32"
top_k = 0
"""


def documents(language: str, count: int, source: str = "web") -> list[Document]:
    """Return short documents of one paragraph."""
    return [
        Document(
            id=f"{language}:{i}",
            source=source,
            title=article["title"],
            text=article["text"],
            language=language,
            script="Latin",
            url=f"https://{language}.example/{i}",
            sections=[Section("", 0, 0, len(article["text"]))],
            quality={"characters": len(article["text"])},
            text_hash=bytes(16),
        )
        for i, article in enumerate(articles(language, count))
    ]


def longer(rows: list[Document], paragraphs: int) -> list[Document]:
    """Return the documents with so many paragraphs each, all of them different."""
    for row in rows:
        row.text = "\n".join(f"Chapter {i} of {paragraphs}. {row.text}" for i in range(paragraphs))
        row.quality["characters"] = len(row.text)
    return rows


def job_for(folder: Path, parts: dict[str, list[Document]], **changes: Any) -> synth.SynthJob:
    """Write document parts and return the job over them."""
    for name, rows in parts.items():
        table = to_table(rows, DOCUMENT)
        storage.write_parquet(str(folder / "documents" / name), table, row_group_rows=4)
    options: dict[str, Any] = {"config": CONFIG, "tokenizer": ""} | changes
    return synth.SynthJob(
        workspace=Workspace(str(folder / "work")),
        out=str(folder),
        parts=tuple(parts),
        descriptions={},
        **options,
    )


def write_documents(out: Path, parts: list[list[Document]]) -> None:
    """Write a complete folder of documents."""
    written = []
    for number, rows in enumerate(parts):
        name = f"part-{number:05d}.parquet"
        path = str(out / "documents" / name)
        written.append(storage.write_parquet(path, to_table(rows, DOCUMENT)) | {"name": name})
    manifest.publish(str(out / "documents"), {"fingerprint": "f"}, written)


def write_config(folder: Path, encoder: str, url: str) -> Path:
    path = folder / "run.toml"
    path.write_text(TOML.format(out=folder / "out", encoder=encoder, url=url))
    return path


def ask(config: Path, *options: str) -> Result:
    """Run `synth` with options set."""
    words = [word for option in options for word in ("--set", f"synthesis.{option}")]
    return run("synth", "--config", config, *words)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a complete folder."""
    names = [p["name"] for p in storage.read_json(str(folder / "manifest.json"))["parts"]]
    return [row for name in names for row in pq.read_table(folder / name).to_pylist()]
