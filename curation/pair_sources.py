"""What the pair-shaped kinds of sources take: which options go with which format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from curation.errors import ConfigError, unknown_name
from curation.records import RELATIONS

FORMATS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "parallel": {
        "nllb": ("min_score",),
        "ccmatrix": ("min_score",),
        "tsv": (),
        "moses": ("target_path",),
        "tmx": (),
        "tatoeba": ("links_path",),
    },
    "labelled": {
        "flagembedding": ("query_language",),
        "passages": ("query_language",),
        "nli": ("query_language",),
        "squad": ("query_language",),
        "beir": ("query_language", "corpus_path"),
        "qrels": ("query_language", "queries_path", "corpus_path"),
    },
}
"""kind → format → the options that it takes besides those of every source."""

_REQUIRED = ("target_path", "links_path", "queries_path")
_ROLES = {
    "document": ("title", "text", "abstract", "url", "date", "id", "language"),
    "pair": ("query", "positive", "query_language", "language", "score", "id"),
    "labelled": ("query", "positive", "negative", "query_language", "language", "id"),
}
HUB_OPTIONS = ("subset", "split", "revision", "relation", "query_language")
ALL_OPTIONS = (
    "format",
    "target_language",
    "target_path",
    "min_score",
    "links_path",
    "queries_path",
    "corpus_path",
    *HUB_OPTIONS,
)


def check_options(kind: str, values: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for an option that is missing, wrong, or does nothing for its kind.

    `values` holds the options of `ALL_OPTIONS` that are set.
    """
    allowed = ["format", *_format_options(kind, values)] if kind in FORMATS else []
    if kind == "parallel":
        allowed.append("target_language")
    if kind == "hf":
        allowed += HUB_OPTIONS
    for name in values:
        if name not in allowed:
            where = f"kind {kind!r}" + (f", format {values['format']!r}" if kind in FORMATS else "")
            raise ConfigError(f"curation.sources.{name} does nothing for {where}")


def _format_options(kind: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    name = values.get("format", "")
    if name not in FORMATS[kind]:
        what = f"curation.sources.format of kind {kind!r}"
        raise ConfigError(unknown_name(what, name, FORMATS[kind]))
    options = FORMATS[kind][name]
    required = [o for o in options if o in _REQUIRED]
    if name == "qrels":
        required.append("corpus_path")
    for option in required:
        if option not in values:
            raise ConfigError(f"curation.sources.{option} is missing: format {name!r} needs it")
    return options


def role_of(columns: Iterable[str], relation: str) -> str:
    """Return what rows of an hf source become: a document, a pair or a labelled query."""
    if relation == "labelled":
        return "labelled"
    return "pair" if relation or "query" in columns else "document"


def check_columns(columns: Mapping[str, str], relation: str) -> None:
    """Raise `ConfigError` unless an hf source's columns and relation make one kind of record."""
    role = role_of(columns, relation)
    valid = _ROLES[role]
    for name in columns:
        if name not in valid:
            raise ConfigError(unknown_name(f"curation.sources.columns of a {role}", name, valid))
    for name in valid[:2]:
        if name not in columns:
            raise ConfigError(
                f"curation.sources.columns of a {role} must name the column of {name}: "
                f'columns = {{{valid[0]} = "…", {valid[1]} = "…"}}'
            )
    if role != "document" and relation not in RELATIONS:
        raise ConfigError(unknown_name("curation.sources.relation", relation, RELATIONS))
