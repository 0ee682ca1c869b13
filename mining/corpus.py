"""Further passages to search: corpora of labelled sets, documents, pairs, files of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import parquet, pii, storage, text
from curation.config import CurationConfig, SourceConfig
from curation.errors import InputError
from curation.inputs import inputs_of
from curation.language_codes import canonical_code
from curation.sources.judgements import read_corpus
from curation.sources.labelled_rows import MalformedError, json_object, titled_text
from curation.sources.lines import read_lines
from curation.sources.opener import Opener
from curation.splits import SplitConfig
from mining.passages import PASSAGE, first_lines

_JUDGED = ("beir", "qrels")
_BATCH = 8192
_IDS = ("id", "_id", "docid")

Languages = Callable[[str], str]
Row = dict[str, str]


def unknown(_: str) -> str:
    """Return "und" for any text: where the pool is not split by language none is detected."""
    return "und"


def judged_files(config: CurationConfig) -> list[tuple[SourceConfig, str | None, tuple[str, ...]]]:
    """Return the corpus files of labelled sources with a corpus: source, language, files."""
    return [
        (source, unit.language or source.language, unit.companions[-1])
        for source in config.sources
        if source.kind == "labelled" and source.format in _JUDGED
        for unit in inputs_of(source)
    ]


def labelled_corpora(config: CurationConfig, language_of: Languages) -> Iterator[pa.Table]:
    """Yield the whole corpora of labelled sources, cleaned and named as their rows are."""
    clean = _cleaner(config)
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for source, language, paths in judged_files(config):
        if (source.label, paths) in seen:  # one corpus for the judgements of several languages
            continue
        seen.add((source.label, paths))
        rows = (
            _row(f"{source.label}:{passage.id}", body, "", language or language_of(body))
            for passage in read_corpus(Opener(), paths)
            if (body := clean(passage.text))
        )
        yield from _tables(rows)


def _cleaner(config: CurationConfig) -> Callable[[str], str]:
    """Return what curation does to the text of a labelled passage."""
    most = config.pairs.max_positive_characters

    def clean(body: str) -> str:
        body = text.normalise(body)
        return (pii.mask(body)[0] if config.mask_pii else body)[:most]

    return clean


def _row(identity: str, body: str, title: str, language: str) -> Row:
    row = dict.fromkeys(PASSAGE.names, "")
    return row | {
        "text": body,
        "id": identity,
        "title": title,
        "language": canonical_code(language),
    }


def _tables(rows: Iterable[Row]) -> Iterator[pa.Table]:
    rows = iter(rows)
    while batch := list(islice(rows, _BATCH)):
        table = pa.Table.from_pylist(batch, PASSAGE)
        line = first_lines(table["text"].combine_chunks())
        title = pc.if_else(pc.equal(table["title"], ""), line, table["title"])
        yield table.set_column(PASSAGE.get_field_index("title"), "title", title).cast(PASSAGE)


def documents_corpus(paths: Sequence[str], splits: SplitConfig) -> Iterator[pa.Table]:
    """Yield the documents of this run that are not held out."""
    for table in _parquet(paths, ["id", "text", "title", "language"]):
        kept = [not splits.is_held_out((i,)) for i in table["id"].to_pylist()]
        table = table.filter(pa.array(kept, pa.bool_()))
        yield _passages(table, table["text"], document=table["id"], title=table["title"])


def pairs_corpus(paths: Sequence[str], splits: SplitConfig) -> Iterator[pa.Table]:
    """Yield the positives of all pairs, whatever their relation, that are not held out."""
    for table in _parquet(paths, ["id", "positive", "document_id", "language"]):
        kept = [not splits.is_held_out((i,)) for i in table["document_id"].to_pylist()]
        table = table.filter(pa.array(kept, pa.bool_()))
        yield _passages(table, table["positive"], document=table["document_id"])


def _parquet(paths: Sequence[str], columns: list[str]) -> Iterator[pa.Table]:
    for path in paths:
        for batch in parquet.batches(path, columns):
            yield pa.Table.from_batches([batch])


def _passages(table: pa.Table, texts: Any, **columns: Any) -> pa.Table:
    """Return a table as `PASSAGE`s; what it lacks is empty."""
    named = {"text": texts, "id": table["id"], "language": table["language"]} | columns
    if "document" in columns:
        has_none = pc.equal(columns["document"], "")
        named["id"] = pc.if_else(has_none, table["id"], columns["document"])
    empty = pa.array([""] * len(table), pa.large_string())
    return pa.table([named.get(name, empty) for name in PASSAGE.names], PASSAGE.names).cast(PASSAGE)


def files_corpus(pattern: str, language_of: Languages) -> Iterator[pa.Table]:
    """Yield the passages of Parquet files or JSON lines; raise `InputError` for other layouts."""
    for path in storage.expand(pattern):
        read = parquet.rows if path.endswith(".parquet") else _json_rows
        yield from _tables(_named(read(path), path, language_of))


def _named(rows: Iterable[dict[str, Any]], path: str, language_of: Languages) -> Iterator[Row]:
    for number, row in enumerate(rows):
        try:
            body = text.normalise(titled_text(row))
        except MalformedError as error:
            raise InputError(
                f"mining.corpus: row {number} of {path} has no column `text`; it has "
                f"{', '.join(sorted(map(str, row)))}"
            ) from error
        identity = next((str(row[name]) for name in _IDS if row.get(name)), f"{path}:{number}")
        language = str(row.get("language") or "") or language_of(body)
        if body:
            yield _row(identity, body, str(row.get("title") or ""), language)


def _json_rows(path: str) -> Iterator[dict[str, Any]]:
    with Opener().open(path) as stream:
        for number, line in enumerate(filter(None, read_lines(stream))):
            try:
                yield json_object(line)
            except MalformedError as error:
                raise InputError(f"mining.corpus: line {number} of {path}: {error}") from error


def own_files(wanted: Sequence[str]) -> list[str]:
    """Return the patterns of files among the names of `mining.corpus`."""
    return [name for name in wanted if name not in ("labelled", "documents", "pairs")]
