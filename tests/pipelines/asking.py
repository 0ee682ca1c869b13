"""A few documents in two parts and a config, for commands that ask about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curation import manifest, storage
from curation.records import DOCUMENT, Document, Section, to_table
from tests.batch_server import KEY
from tests.builders import articles
from tests.command_line import Result, run

KEY_NAME = "THREEFOLD_ASKING_KEY"
PER_LANGUAGE = 6
LANGUAGES = ("en", "es", "fr")
REQUESTS = PER_LANGUAGE * len(LANGUAGES)
NOWHERE = "http://127.0.0.1:9/v1"

CONFIG = """\
[model]
encoder = "{encoder}"

[synthesis]
model = "scripted"
api_key_env = "{key}"
documents_per_language = 6
min_document_characters = 120
min_paragraph_characters = 100
concurrency = 4
max_attempts = 1

[synthesis.round_trip]
enabled = false
"""


@dataclass(frozen=True)
class Asking:
    """A folder with curated documents and a config."""

    config: Path
    out: Path

    def synth(self, url: str, *arguments: object) -> Result:
        """Run `synth` against an endpoint; arguments as `a.b=c` are config keys."""
        given: list[object] = ["--set", f'synthesis.base_url="{url}"']
        for argument in arguments:
            is_key = str(argument).startswith("synthesis.")
            given += ["--set", argument] if is_key else [argument]
        return run("synth", "--config", self.config, "--out", self.out, *given)

    def questions(self) -> list[tuple[str, ...]]:
        """Return the questions with their documents and texts, sorted."""
        names = ["query", "positive", "relation", "document_id"]
        tables = [pq.read_table(p, columns=names) for p in self.out.glob("questions/*/*.parquet")]
        return sorted(tuple(row[n] for n in names) for t in tables for row in t.to_pylist())


def write_documents(folder: Path) -> None:
    """Write two parts of documents as `curate` leaves them."""
    rows = [
        Document(
            id=f"{language}:{number}",
            source="web",
            title=article["title"],
            text=article["text"],
            language=language,
            script="Latin",
            sections=[Section("", 0, 0, len(article["text"]))],
            quality={"characters": len(article["text"])},
            text_hash=bytes(16),
        )
        for language in LANGUAGES
        for number, article in enumerate(articles(language, PER_LANGUAGE))
    ]
    manifest.begin(str(folder), "f")
    halves = {"part-0.parquet": rows[::2], "part-1.parquet": rows[1::2]}
    parts = [
        storage.write_parquet(str(folder / name), to_table(half, DOCUMENT), row_group_rows=4)
        for name, half in halves.items()
    ]
    manifest.publish(str(folder), {"records": "documents", "fingerprint": "f"}, parts)


def make(folder: Path, encoder: str) -> Asking:
    """Return a fresh folder to ask about."""
    folder.mkdir()
    config = folder / "run.toml"
    config.write_text(CONFIG.format(encoder=encoder, key=KEY_NAME))
    write_documents(folder / "out" / "documents")
    return Asking(config, folder / "out")


@pytest.fixture
def own(tiny_encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asking:
    """A run of the test's own, with a key in the environment."""
    monkeypatch.setenv(KEY_NAME, KEY)
    return make(tmp_path / "own", tiny_encoder)
