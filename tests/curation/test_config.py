"""The `[curation]` table: mistakes are named with option, value and the way out."""

import dataclasses
import re

import pytest

from curation.config import CurationConfig, SourceConfig
from curation.errors import ConfigError


def test_source_defaults() -> None:
    """A source needs a kind and a path; it is called by its kind until it has a name."""
    source = SourceConfig(kind="c4", path="c4/*.json.gz")
    assert (source.label, source.language, source.sample, source.priority) == ("c4", None, 1.0, 0)
    assert dataclasses.replace(source, name="mc4-fr").label == "mc4-fr"


@pytest.mark.parametrize(
    "kind", ["wikipedia", "c4", "mc4", "ccnet", "cc-news", "wet", "s2orc", "xp3", "po"]
)
def test_known_kinds(kind: str) -> None:
    """Every kind that the documentation names is accepted."""
    assert SourceConfig(kind=kind, path="x").label == kind


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kind": "wikipdia"},
            "unknown curation.sources.kind 'wikipdia': did you mean 'wikipedia'? valid: c4, ",
        ),
        ({"kind": "c4", "sample": 1.5}, "curation.sources.sample = 1.5 is outside 0 .. 1"),
        ({"kind": "json"}, "curation.sources.columns of a json source must name"),
        ({"kind": "json", "columns": {"title": "t"}}, 'columns = {title = "…", text = "…"}'),
        (
            {"kind": "c4", "columns": {"title": "t", "text": "x"}},
            "curation.sources.columns does nothing for kind 'c4'",
        ),
        ({"kind": "csv"}, "curation.sources.columns of a csv source must name"),
        ({"kind": "wet", "members": "*"}, "curation.sources.members does nothing for kind 'wet'"),
        (
            {"kind": "c4", "extractor": "trafilatura"},
            "curation.sources.extractor does nothing for kind 'c4'",
        ),
        (
            {"kind": "cc-news", "extractor": "trafilatur"},
            "unknown curation.sources.extractor 'trafilatur': did you mean 'trafilatura'?",
        ),
        (
            {"kind": "json", "columns": {"title": "t", "text": "x", "summary": "s"}},
            "unknown curation.sources.columns 'summary': valid: abstract, date, id, language, ",
        ),
    ],
    ids=[
        "kind",
        "sample",
        "no-columns",
        "no-text",
        "useless-columns",
        "csv",
        "warc-members",
        "useless-extractor",
        "unknown-extractor",
        "unknown-column",
    ],
)
def test_source_mistakes(options: dict[str, object], message: str) -> None:
    """A source that cannot work is refused before anything is read."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        SourceConfig(path="x", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_rows_take_every_column(kind: str) -> None:
    """All fields of a record can be mapped."""
    names = ("title", "text", "abstract", "url", "date", "id", "language")
    columns = {name: name.upper() for name in names}
    assert SourceConfig(kind=kind, path="x", columns=columns).columns == columns


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_language_score": 1.1}, "curation.min_language_score = 1.1 is outside 0 .. 1"),
        ({"part_mb": 0.0}, "curation.part_mb = 0.0 is outside 0.01 .. 4096"),
        (
            {"max_document_characters": 0},
            "curation.max_document_characters = 0 is outside 1 .. 1e+09",
        ),
    ],
    ids=["score", "part", "characters"],
)
def test_curation_mistakes(options: dict[str, float], message: str) -> None:
    """Bounds that make no sense are refused."""
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        CurationConfig(**options)  # type: ignore[arg-type]


def test_options_are_given_by_name_and_stay() -> None:
    """A configuration is frozen, and nothing is set by position."""
    config = CurationConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.part_mb = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        SourceConfig("c4", "x")  # type: ignore[misc]
