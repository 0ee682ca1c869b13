"""Rows that hold a query and its passages themselves → labelled queries.

FlagEmbedding's JSON lines (query, pos, neg, pos_scores, neg_scores), those of Mr. TyDi and MIRACL
(query_id, query, positive_passages, negative_passages), and NLI triples (sent0, sent1, hard_neg).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from typing import IO, Any

import xxhash

from curation.records import Reject
from curation.sources.lines import read_lines
from curation.sources.raw import Passage, RawLabelled

Row = dict[str, Any]
_CLASSES = ("symmetric_class", "symmetric_clustering")
_MAX_LINE = 1 << 20
_MAX_CELL = 1 << 17  # characters of a CSV cell: a quote that never closes swallows no more
_MAX_SCORE = 1e30  # stays finite in 32 bits; comparisons with NaN are false


class MalformedError(Exception):
    """A row that is not what its format says; the message is the reason of the reject."""


def read_flagembedding(stream: IO[bytes], source: str) -> Iterator[RawLabelled | Reject]:
    """Yield a labelled query per line of FlagEmbedding's fine-tuning format.

    A row's own `prompt` is left out: the model's config sets the prompt of all queries. Rows of
    the types for classification are rejected, because other rows' positives, which training takes
    for negatives, are of the same class there.
    """
    return _read_json_lines(stream, source, _flagembedding)


def read_passages(stream: IO[bytes], source: str) -> Iterator[RawLabelled | Reject]:
    """Yield a labelled query per line of the format of Mr. TyDi and MIRACL training sets."""
    return _read_json_lines(stream, source, _passages)


def _read_json_lines(
    stream: IO[bytes], source: str, parse: Callable[[Row], RawLabelled]
) -> Iterator[RawLabelled | Reject]:
    for number, line in enumerate(read_lines(stream)):
        if line is not None and not line.strip():
            continue
        try:
            labelled = parse(json_object(line))
        except MalformedError as error:
            excerpt = (line or b"")[:200].decode("utf-8", "replace")
            identity = f"{source}:line-{number}"
            yield Reject(identity, "extract", str(error), source, excerpt=excerpt)
            continue
        key = labelled.id or xxhash.xxh3_64_hexdigest(line or b"")
        labelled.id = f"{source}:{key}"
        yield labelled


def json_object(line: bytes | None) -> Row:
    """Return the object of a line; raise `MalformedError` where there is none."""
    if line is None:
        raise MalformedError("line_too_long")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MalformedError("malformed_json") from error
    if not isinstance(row, dict):
        raise MalformedError("not_an_object")
    return row


def _flagembedding(row: Row) -> RawLabelled:
    if row.get("type") in _CLASSES:
        raise MalformedError("classification_row")
    positives, negatives = texts_of(row, "pos"), texts_of(row, "neg", required=False)
    return RawLabelled(
        id=str(row.get("id") or row.get("query_id") or ""),
        query=text_of(row, "query"),
        positives=_with_ids(positives, row.get("pos_id")),
        negatives=_with_ids(negatives, row.get("neg_id")),
        positive_scores=_scores(row.get("pos_scores"), len(positives)),
        negative_scores=_scores(row.get("neg_scores"), len(negatives)),
    )


def text_of(row: Row, name: str) -> str:
    """Return a field that must be text."""
    value = row.get(name)
    if not isinstance(value, str):
        raise MalformedError(f"missing_{name}")
    return value


def texts_of(row: Row, name: str, *, required: bool = True) -> list[str]:
    """Return a field that must be a list of texts; one text stands for a list of one."""
    value = row.get(name)
    if value is None and not required:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise MalformedError(f"missing_{name}")
    return value


def _with_ids(texts: list[str], ids: Any) -> list[Passage]:
    fits = isinstance(ids, list) and len(ids) == len(texts)
    return [
        Passage(t, str(i)) for t, i in zip(texts, ids if fits else [""] * len(texts), strict=True)
    ]


def _scores(values: Any, count: int) -> list[float] | None:
    """Return a teacher's scores where there is a number for each passage."""
    if not isinstance(values, list) or len(values) != count:
        return None
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) != count or not all(-_MAX_SCORE < v < _MAX_SCORE for v in numbers):
        return None
    return [float(v) for v in numbers]


def _passages(row: Row) -> RawLabelled:
    return RawLabelled(
        id=str(row.get("query_id") or ""),
        query=text_of(row, "query"),
        positives=_titled_passages(row, "positive_passages"),
        negatives=_titled_passages(row, "negative_passages"),
    )


def _titled_passages(row: Row, name: str) -> list[Passage]:
    listed = row.get(name)
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise MalformedError(f"missing_{name}")
    return [Passage(titled_text(item), str(item.get("docid") or "")) for item in listed]


def titled_text(row: Row) -> str:
    """Return a passage's title and text on lines of their own, as the evaluation reads them."""
    title = row.get("title")
    text = text_of(row, "text")
    return f"{title}\n{text}" if isinstance(title, str) and title.strip() else text


def read_nli(stream: IO[bytes], source: str) -> Iterator[RawLabelled | Reject]:
    """Yield a labelled query per CSV triple: premise, entailed and contradicting sentence.

    The first row names the columns: sent0, sent1, and optionally hard_neg.
    """
    csv.field_size_limit(_MAX_CELL)  # one for the process: another reader may have raised it
    rows = csv.reader(_text_lines(stream))
    header: list[str] | None = None
    number = -1
    while True:
        number += 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Reject(
                f"{source}:row-{number}", "extract", "malformed_csv", source, "", str(error)
            )
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
        elif cells:
            yield _triple(dict(zip(header, cells, strict=False)), number, source)


def _text_lines(stream: IO[bytes]) -> Iterator[str]:
    for line in read_lines(stream, _MAX_LINE):
        yield (line or b"").decode("utf-8", "replace") + "\n"


def _triple(row: Row, number: int, source: str) -> RawLabelled | Reject:
    try:
        query, positive = text_of(row, "sent0"), text_of(row, "sent1")
    except MalformedError as error:
        return Reject(f"{source}:row-{number}", "extract", str(error), source, value=", ".join(row))
    negatives = [Passage(row["hard_neg"])] if row.get("hard_neg", "").strip() else []
    return RawLabelled(f"{source}:row-{number}", query, [Passage(positive)], negatives)
