"""What a curation run reads and how it decides."""

from __future__ import annotations

from dataclasses import dataclass, field

from curation.contamination import DecontaminationConfig
from curation.errors import ConfigError, check_range, unknown_name
from curation.minhash import NearDuplicateConfig
from curation.pairs import PairConfig

DOCUMENT_KINDS = (
    "wikipedia", "c4", "mc4", "ccnet", "cc-news", "wet", "json", "csv", "s2orc"
)  # fmt: skip
PAIR_KINDS = ("po", "xp3")
WARC_KINDS = ("cc-news", "wet")
EXTRACTORS = ("resiliparse", "trafilatura")
_COLUMNS = ("title", "text", "abstract", "url", "date", "id", "language")


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceConfig:
    """One `[[curation.sources]]` table: where the raw text lies and what it is."""

    kind: str
    """wikipedia: pages-articles XML. c4, mc4: JSON lines (text, url, timestamp), the first line is
    the title. ccnet: CCNet's JSON lines, or the like with text and metadata. cc-news: WARC of HTML
    pages. wet: Common Crawl's text of pages. s2orc: papers, with the papers they cite. xp3:
    instructions and outputs. json, csv: rows of any layout, mapped by `columns`. po: catalogues."""
    path: str
    """Path, glob, fsspec URL or package://NAME/file; .bz2 .gz .xz .zst or plain."""
    name: str = ""
    """The source's name in records and reports; default: its kind."""
    language: str | None = None
    """What the source declares; leave it out where the source itself says it."""
    sample: float = 1.0
    """Share of the records to keep, chosen by a hash of their id."""
    columns: dict[str, str] = field(default_factory=dict)
    """kinds json and csv: which field is title, text, abstract, url, date, id, language."""
    members: str = ""
    """The path is a tar (.xz .gz .bz2 .zst) or zip: read its members that fit this glob."""
    extractor: str = "resiliparse"
    """kind cc-news: resiliparse (fast) | trafilatura (precise; pip install '.[trafilatura]')."""
    priority: int = 0
    """Among duplicates the source with the highest priority is kept."""

    def __post_init__(self) -> None:
        kinds = (*DOCUMENT_KINDS, *PAIR_KINDS)
        if self.kind not in kinds:
            raise ConfigError(unknown_name("curation.sources.kind", self.kind, kinds))
        check_range("curation.sources.sample", self.sample, 0.0, 1.0)
        self._check_columns()
        self._check_web()

    def _check_web(self) -> None:
        if self.members and self.kind in WARC_KINDS:
            raise ConfigError(
                f"curation.sources.members does nothing for kind {self.kind!r}: unpack the archive"
            )
        if self.extractor != EXTRACTORS[0] and self.kind != "cc-news":
            raise ConfigError(f"curation.sources.extractor does nothing for kind {self.kind!r}")
        if self.extractor not in EXTRACTORS:
            raise ConfigError(
                unknown_name("curation.sources.extractor", self.extractor, EXTRACTORS)
            )

    def _check_columns(self) -> None:
        mapped = self.kind in ("json", "csv")
        if mapped and not {"title", "text"} <= self.columns.keys():
            raise ConfigError(
                f"curation.sources.columns of a {self.kind} source must name the fields of title "
                'and text: columns = {title = "…", text = "…"}'
            )
        if not mapped and self.columns:
            raise ConfigError(f"curation.sources.columns does nothing for kind {self.kind!r}")
        for name in self.columns:
            if name not in _COLUMNS:
                raise ConfigError(unknown_name("curation.sources.columns", name, _COLUMNS))

    @property
    def label(self) -> str:
        """The name of the source in records."""
        return self.name or self.kind


# What does not reach the cleaned and scored documents: changing these decides anew, reads nothing.
DECISIONS = frozenset(
    {"thresholds", "min_language_score", "pairs", "part_mb", "keep_scores", "priority"}
    | {"near_duplicates", "decontamination"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationConfig:
    """The `[curation]` table."""

    sources: tuple[SourceConfig, ...] = ()
    """The `[[curation.sources]]` tables, any number and mix."""
    thresholds: str = ""
    """A TOML file of quality bounds; empty: the one that ships with the package."""
    min_language_score: float = 0.5
    """Documents whose language is not declared, or not truly, are rejected below this score."""
    max_document_characters: int = 1_000_000
    """Longer documents are rejected before any per-character work."""
    mask_pii: bool = False
    """Replace e-mail addresses, public IP addresses and phone numbers by <email>, <ip>, <phone>."""
    word_lists: str = ""
    """Adult or spam words: a TOML file `LANGUAGE = ["word", …]` or a folder of LANGUAGE.txt."""
    keep_scores: bool = True
    """Keep cleaned and scored documents, about the size of the text, for runs that decide anew."""
    pairs: PairConfig = field(default_factory=PairConfig)
    """Which pairs documents give."""
    near_duplicates: NearDuplicateConfig = field(default_factory=NearDuplicateConfig)
    """What counts as a near duplicate."""
    decontamination: DecontaminationConfig = field(default_factory=DecontaminationConfig)
    """Which evaluation texts no pair may contain."""
    split_mb: float = 64.0
    """Files that can be cut (bz2 dumps of many streams, plain XML, plain JSON lines) are read in
    pieces of this size in MB, each by one worker; outputs are the same for any size."""
    part_mb: float = 64.0
    """Uncompressed size of an output part, in MB: also what a worker holds while writing one."""

    def __post_init__(self) -> None:
        check_range("curation.min_language_score", self.min_language_score, 0.0, 1.0)
        check_range("curation.split_mb", self.split_mb, 0.001, 1e6)
        check_range("curation.part_mb", self.part_mb, 0.01, 4096)
        check_range("curation.max_document_characters", self.max_document_characters, 1, 1e9)
