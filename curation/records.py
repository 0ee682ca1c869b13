"""The records that travel between the stages, and their Parquet schemas, declared once.

A dataclass is the record while a stage works on it; the schema is its form on disk.
`to_table` turns one into the other without inferring any type (DESIGN: records and files).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import xxhash

SCHEMA_VERSION = 1

RELATIONS = (
    "title-body",
    "title-abstract",
    "section",
    "citation",
    "instruction-output",
    "parallel",
    "question-document",
    "question-passage",
    "labelled",
)


@dataclass(slots=True)
class Section:
    """A heading and the half-open character range of its body in the document's text."""

    heading: str
    level: int
    start: int
    end: int


@dataclass(slots=True)
class Document:
    """One cleaned text with its origin, language verdict and quality scores."""

    id: str
    source: str
    title: str
    text: str
    language: str = "und"
    declared_language: str | None = None
    language_score: float = 0.0
    language_agreement: bool = False
    script: str = ""
    abstract: str = ""
    sections: list[Section] = field(default_factory=list)
    url: str = ""
    date: str = ""
    quality: dict[str, float] = field(default_factory=dict)
    near_duplicate_cluster_size: int = 1
    text_hash: bytes = b""


@dataclass(slots=True)
class Pair:
    """A query and the text that answers it; `id` is a digest of the two, so equal pairs collide."""

    query: str
    positive: str
    relation: str
    query_language: str
    language: str
    source: str
    query_document_id: str = ""
    document_id: str = ""
    query_tokens: int = 0
    positive_tokens: int = 0
    segments_shuffled: bool = False
    source_score: float | None = None
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            self.id = text_key(self.query, self.positive).hex()


@dataclass(slots=True)
class Question(Pair):
    """A pair whose query an LLM wrote, with the whole provenance of the question."""

    document_url: str = ""
    paragraph: str = ""
    paragraph_index: int = 0
    paragraph_start: int = 0
    paragraph_end: int = 0
    paragraph_position: float = 0.0
    requested_model: str = ""
    model: str = ""
    prompt_version: str = ""
    style: str = ""
    difficulty: str = ""
    request_key: str = ""
    finish_reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    created_at: int = 0
    answer: str = ""
    evidence: str = ""
    language_verdict: str = ""
    copied_share: float = 0.0
    round_trip_rank: int | None = None
    round_trip_score: float | None = None
    judge_score: int | None = None


@dataclass(slots=True)
class Sample:
    """A paragraph drawn from a document, and the prompt that asks for a question about it."""

    key: str
    document_id: str
    document_url: str
    language: str
    source: str
    paragraph: str
    paragraph_index: int
    paragraph_start: int
    paragraph_position: float
    prompt: str
    opener: str
    question_mark: str
    stop: list[str]
    prompt_version: str

    @property
    def id(self) -> str:
        """What the question is called: two documents may have a paragraph, and so a key, alike."""
        return f"{self.document_id}#{self.key}"


@dataclass(slots=True)
class TrainingRow:
    """A query with its positives and mined negatives; lists of ids, ranks and scores run along."""

    id: str
    query: str
    positives: list[str]
    negatives: list[str]
    relation: str
    source: str
    query_language: str
    language: str
    length: int
    positive_ids: list[str] = field(default_factory=list)
    negative_ids: list[str] = field(default_factory=list)
    negative_ranks: list[int] = field(default_factory=list)
    positive_scores: list[float] = field(default_factory=list)
    negative_scores: list[float] = field(default_factory=list)
    positive_teacher_scores: list[float | None] | None = None
    negative_teacher_scores: list[float | None] | None = None
    negative_sources: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Reject:
    """Something a stage dropped: `reason` is stable snake_case, `value` what decided it."""

    id: str
    stage: str
    reason: str
    source: str = ""
    language: str = ""
    value: str = ""
    excerpt: str = ""


@dataclass(slots=True)
class HostKey:
    """A pair of a document with an address, as 64-bit hashes: what a cap on hosts counts."""

    host: int
    pair: int
    document: int


def text_key(*texts: str) -> bytes:
    """Return the 16-byte xxh3-128 digest of texts after folding case and white space.

    Texts that differ only in these are exact duplicates (DESIGN: deduplication).
    """
    folded = "\x00".join(" ".join(text.casefold().split()) for text in texts)
    return xxhash.xxh3_128_digest(folded.encode("utf-8", "surrogatepass"))


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema(
        [pa.field(name, kind) for name, kind in fields],
        metadata={"schema_version": str(SCHEMA_VERSION)},
    )


QUALITY = pa.struct(
    [
        *((name, pa.int32()) for name in ("characters", "words", "masked")),
        *(
            (name, pa.float32())
            for name in (
                "mean_word_length",
                "letter_share",
                "digit_share",
                "symbol_share",
                "brace_share",
                "hash_word_ratio",
                "ellipsis_word_ratio",
                "letter_word_share",
                "stop_word_share",
                "flagged_word_share",
                "line_word_ratio",
                "line_end_share",
                "ellipsis_line_share",
                "bullet_line_share",
                "short_line_share",
                "duplicate_line_share",
                "duplicate_line_character_share",
                "duplicate_paragraph_share",
                "duplicate_paragraph_character_share",
                "boilerplate_share",
                "placeholder_share",
                *(f"top_{n}gram_share" for n in (2, 3, 4)),
                *(f"duplicate_{n}gram_share" for n in (5, 6, 7, 8, 9, 10)),
            )
        ),
    ]
)
SECTIONS = pa.list_(
    pa.struct(
        [("heading", pa.string()), ("level", pa.int8()), ("start", pa.int32()), ("end", pa.int32())]
    )
)

DOCUMENT = _schema(
    ("id", pa.string()),
    ("source", pa.string()),
    ("language", pa.string()),
    ("declared_language", pa.string()),
    ("language_score", pa.float32()),
    ("language_agreement", pa.bool_()),
    ("script", pa.string()),
    ("title", pa.string()),
    ("text", pa.string()),
    ("abstract", pa.string()),
    ("sections", SECTIONS),
    ("url", pa.string()),
    ("date", pa.string()),
    ("quality", QUALITY),
    ("near_duplicate_cluster_size", pa.int32()),
    ("text_hash", pa.binary(16)),
)

_PAIR_FIELDS = (
    ("id", pa.string()),
    ("query", pa.string()),
    ("positive", pa.string()),
    ("relation", pa.string()),
    ("query_language", pa.string()),
    ("language", pa.string()),
    ("source", pa.string()),
    ("query_document_id", pa.string()),
    ("document_id", pa.string()),
    ("query_tokens", pa.int32()),
    ("positive_tokens", pa.int32()),
    ("segments_shuffled", pa.bool_()),
    ("source_score", pa.float32()),
)
PAIR = _schema(*_PAIR_FIELDS)
QUESTION = _schema(
    *_PAIR_FIELDS,
    ("document_url", pa.string()),
    ("paragraph", pa.string()),
    ("paragraph_index", pa.int32()),
    ("paragraph_start", pa.int32()),
    ("paragraph_end", pa.int32()),
    ("paragraph_position", pa.float32()),
    ("requested_model", pa.string()),
    ("model", pa.string()),
    ("prompt_version", pa.string()),
    ("style", pa.string()),
    ("difficulty", pa.string()),
    ("request_key", pa.string()),
    ("finish_reason", pa.string()),
    ("input_tokens", pa.int32()),
    ("output_tokens", pa.int32()),
    ("created_at", pa.int64()),
    ("answer", pa.string()),
    ("evidence", pa.string()),
    ("language_verdict", pa.string()),
    ("copied_share", pa.float32()),
    ("round_trip_rank", pa.int32()),
    ("round_trip_score", pa.float32()),
    ("judge_score", pa.int8()),
)
SAMPLE = _schema(
    ("key", pa.string()),
    ("document_id", pa.string()),
    ("document_url", pa.string()),
    ("language", pa.string()),
    ("source", pa.string()),
    ("paragraph", pa.string()),
    ("paragraph_index", pa.int32()),
    ("paragraph_start", pa.int32()),
    ("paragraph_position", pa.float32()),
    ("prompt", pa.string()),
    ("opener", pa.string()),
    ("question_mark", pa.string()),
    ("stop", pa.list_(pa.string())),
    ("prompt_version", pa.string()),
)
TRAINING_ROW = _schema(
    ("id", pa.string()),
    ("query", pa.string()),
    ("positives", pa.list_(pa.string())),
    ("negatives", pa.list_(pa.string())),
    ("relation", pa.string()),
    ("source", pa.string()),
    ("query_language", pa.string()),
    ("language", pa.string()),
    ("length", pa.int32()),
    ("positive_ids", pa.list_(pa.string())),
    ("negative_ids", pa.list_(pa.string())),
    ("negative_ranks", pa.list_(pa.int32())),
    ("positive_scores", pa.list_(pa.float32())),
    ("negative_scores", pa.list_(pa.float32())),
    ("positive_teacher_scores", pa.list_(pa.float32())),
    ("negative_teacher_scores", pa.list_(pa.float32())),
    ("negative_sources", pa.list_(pa.string())),
)
REJECT = _schema(
    ("id", pa.string()),
    ("stage", pa.string()),
    ("reason", pa.string()),
    ("source", pa.string()),
    ("language", pa.string()),
    ("value", pa.string()),
    ("excerpt", pa.string()),
)
HOST = _schema(("host", pa.uint64()), ("pair", pa.uint64()), ("document", pa.uint64()))


def to_table(records: Sequence[Any], schema: pa.Schema) -> pa.Table:
    """Return the records as a table of `schema`; a value of another type raises `pa.ArrowInvalid`.

    Nested `Section`s become structs. Lone surrogates, which UTF-8 cannot hold, are replaced.
    """
    columns = []
    for column in schema:
        values = [getattr(record, column.name) for record in records]
        if column.type == SECTIONS:
            values = [
                [{name: getattr(s, name) for name in s.__slots__} for s in item] for item in values
            ]
        try:
            columns.append(pa.array(values, column.type))
        except UnicodeEncodeError:
            columns.append(pa.array(_encodable(values), column.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {name: _encodable(item) for name, item in value.items()}
    return value


def documents_from(table: pa.Table) -> list[Document]:
    """Return the rows of a `DOCUMENT` table as `Document`s."""
    rows = table.select(DOCUMENT.names).to_pylist()
    for row in rows:
        row["sections"] = [Section(**section) for section in row["sections"]]
    return [Document(**row) for row in rows]


def training_rows_from(table: pa.Table) -> list[TrainingRow]:
    """Return the rows of a `TRAINING_ROW` table as `TrainingRow`s."""
    return [TrainingRow(**row) for row in table.select(TRAINING_ROW.names).to_pylist()]
