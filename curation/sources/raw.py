"""What a source hands on: one document or pair as extracted, before cleaning and filtering."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RawSection:
    """A heading (empty for the text before the first one), its level and its text."""

    heading: str
    level: int
    text: str


@dataclass(slots=True)
class RawDocument:
    """An extracted document; `language` is what the source declares, if it does.

    `cites` are the ids of the documents that it cites, for sources that know them.
    """

    id: str
    title: str
    sections: list[RawSection]
    abstract: str = ""
    url: str = ""
    date: str = ""
    language: str | None = None
    cites: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RawPair:
    """An extracted pair, for sources whose rows are pairs already."""

    query: str
    positive: str
    relation: str
    query_language: str | None
    language: str | None
    id: str = ""
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class RawRedirect:
    """An alternative title: `title` names the same thing as the article `target`."""

    id: str
    title: str
    target: str
    language: str | None
