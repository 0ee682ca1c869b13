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


@dataclass(slots=True)
class RawTranslation:
    """Two texts that say the same; it becomes a pair in each direction.

    `score` is the source's own measure of the match (LASER margin), None where it has none.
    """

    text: str
    translation: str
    language: str | None
    translation_language: str | None
    id: str
    score: float | None = None


@dataclass(slots=True)
class Passage:
    """A text that a labelled query is judged against; `id` is the data set's own, if it has one."""

    text: str
    id: str = ""


@dataclass(slots=True)
class RawLabelled:
    """A query with the passages that answer it and those that are known not to.

    Scores are a teacher's, one per passage, where the data set has them.
    """

    id: str
    query: str
    positives: list[Passage]
    negatives: list[Passage]
    query_language: str | None = None
    language: str | None = None
    positive_scores: list[float] | None = None
    negative_scores: list[float] | None = None
