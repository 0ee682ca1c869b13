"""Which options go with which kind and format of source."""

from __future__ import annotations

from typing import Any

import pytest

from curation.config import SourceConfig
from curation.errors import ConfigError
from curation.pair_sources import FORMATS

VALID: dict[str, dict[str, Any]] = {
    "nllb": {"kind": "parallel", "format": "nllb", "min_score": 1.1, "target_language": "de"},
    "moses": {"kind": "parallel", "format": "moses", "target_path": "b"},
    "tmx": {"kind": "parallel", "format": "tmx"},
    "tatoeba": {"kind": "parallel", "format": "tatoeba", "links_path": "links.csv"},
    "beir": {"kind": "labelled", "format": "beir", "query_language": "de"},
    "qrels": {"kind": "labelled", "format": "qrels", "queries_path": "q", "corpus_path": "c"},
    "hf pair": {
        "kind": "hf",
        "columns": {"query": "q", "positive": "p"},
        "relation": "question-passage",
    },
    "hf document": {"kind": "hf", "columns": {"title": "t", "text": "b"}, "split": "test"},
    "hf labelled": {
        "kind": "hf",
        "columns": {"query": "q", "positive": "p", "negative": "n"},
        "relation": "labelled",
    },
}


@pytest.mark.parametrize("name", VALID)
def test_what_fits_is_accepted(name: str) -> None:
    """Labelled rows come out of what says so."""
    source = SourceConfig(path="x", **VALID[name])
    assert source.gives_labelled == (name in ("beir", "qrels", "hf labelled"))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no format": ({"kind": "parallel"}, "unknown curation.sources.format of kind 'parallel' ''"),
    "other kind's": (
        {"kind": "labelled", "format": "tmx"},
        "unknown curation.sources.format of kind 'labelled' 'tmx'",
    ),
    "no target": (
        {"kind": "parallel", "format": "moses"},
        "curation.sources.target_path is missing: format 'moses' needs it",
    ),
    "no corpus": (
        {"kind": "labelled", "format": "qrels", "queries_path": "q"},
        "curation.sources.corpus_path is missing",
    ),
    "score without one": (
        {"kind": "parallel", "format": "tmx", "min_score": 1.0},
        "curation.sources.min_score does nothing for kind 'parallel', format 'tmx'",
    ),
    "document": (
        {"kind": "wikipedia", "format": "tmx"},
        "curation.sources.format does nothing for kind 'wikipedia'",
    ),
    "po": ({"kind": "po", "target_language": "de"}, "curation.sources.target_language does"),
    "labelled split": (
        {"kind": "labelled", "format": "beir", "split": "test"},
        "curation.sources.split does nothing for kind 'labelled', format 'beir'",
    ),
    "hf without columns": ({"kind": "hf"}, "curation.sources.columns of a document must name"),
    "hf without positive": (
        {"kind": "hf", "columns": {"query": "q"}, "relation": "parallel"},
        "curation.sources.columns of a pair must name the column of positive",
    ),
    "hf column": (
        {"kind": "hf", "columns": {"query": "q", "positiv": "p"}},
        "unknown curation.sources.columns of a pair 'positiv': did you mean 'positive'?",
    ),
    "hf relation": (
        {"kind": "hf", "columns": {"query": "q", "positive": "p"}, "relation": "paralel"},
        "unknown curation.sources.relation 'paralel': did you mean 'parallel'?",
    ),
    "hf no relation": (
        {"kind": "hf", "columns": {"query": "q", "positive": "p"}},
        "unknown curation.sources.relation ''",
    ),
    "hf path": (
        {"kind": "hf", "columns": {"title": "q", "text": "p"}, "target_path": "x"},
        "curation.sources.target_path does nothing for kind 'hf'",
    ),
    "labelled columns": (
        {"kind": "labelled", "format": "beir", "columns": {"title": "t"}},
        "curation.sources.columns does nothing for kind 'labelled'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused(name: str) -> None:
    """The message begins with the key and says what is valid."""
    values, message = WRONG[name]
    with pytest.raises(ConfigError) as caught:
        SourceConfig(path="x", **values)
    assert str(caught.value).startswith(message)


def test_every_format_is_documented() -> None:
    """The doc of `format` and of the options names all of them."""
    import inspect

    text = inspect.getsource(SourceConfig)
    for formats in FORMATS.values():
        for name, options in formats.items():
            assert name in text
            assert all(option in text for option in options)
