"""How negatives are mined: the `[mining]` table."""

from __future__ import annotations

from dataclasses import dataclass, field

from curation.errors import ConfigError, check_range, unknown_name
from curation.records import RELATIONS
from mining.encode_config import EncodeConfig
from mining.index_config import IndexConfig
from mining.rescore_config import RescoreConfig

FILTERS = (
    "near_duplicate",
    "same_document",
    "same_title",
    "equals_query",
    "translation",
)
"""Rules of `mining.filters`; positives and repeated texts are always removed."""
NEGATIVES_FROM = ("mined", "random", "none")
POOLS = ("mixed", "language", "cross-lingual")
SOURCES = ("dense", "sparse", "bm25")
CHOICES = {
    "negatives_from": NEGATIVES_FROM,
    "pool": POOLS,
    "fusion": ("rrf", "weighted"),
    "sampling": ("top", "random", "simans"),
    "starved": ("fewer", "random", "drop"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MiningConfig:
    """The `[mining]` table."""

    relations: tuple[str, ...] = ("question-document", "labelled")
    """Relations of pairs, questions and labelled rows to turn into training rows."""
    limits: dict[str, int] = field(default_factory=dict)
    """At most so many rows of a relation and language: limits = {title-body = 1000}."""
    corpus: tuple[str, ...] = ("labelled",)
    """Passages to search besides the rows' own. labelled: the whole corpora of labelled sources of
    formats beir and qrels; documents, pairs: those of this run; else a path or glob of Parquet
    files or JSON lines with text, and optionally title, id (_id, docid) and language."""
    pool: str = "mixed"
    """mixed: every passage is a candidate; language: those in the positive's language;
    cross-lingual: those in another language than the query's."""
    negatives_from: str = "mined"
    """mined: found by search; random: drawn from the pool (nothing is encoded, rows have no
    scores); none: only those that a data set names (with negatives = 0 not even these)."""
    negatives: int = 7
    """Negatives per query (paper: 7); labelled ones come first, mined ones fill up."""
    sources: tuple[str, ...] = ("dense",)
    """What finds candidates: dense, sparse (the model's lexical weights), bm25; any of them."""
    fusion: str = "rrf"
    """Several sources become one list by reciprocal ranks (rrf) or by weighted sums of scores."""
    fusion_constant: float = 60.0
    """rrf: a candidate gets 1 / (constant + rank) of each list (Cormack et al. 2009: 60)."""
    fusion_weights: tuple[float, ...] = ()
    """weighted: the weight of each of `sources`, in their order; empty: 1 each."""
    encode: EncodeConfig = field(default_factory=EncodeConfig)
    """How texts become vectors."""
    index: IndexConfig = field(default_factory=IndexConfig)
    """How dense vectors are searched."""
    on_workers: bool = False
    """Encode and search as Beam pipelines on the runner's workers, exactly; OUT and the vectors
    must lie in folders that all of them share. For dense candidates of one mixed pool."""
    depth: int = 200
    """Candidates searched per query."""
    max_depth: int = 3200
    """Where too few survive, `depth` is doubled for these queries, up to this; 0: never."""
    filters: tuple[str, ...] = FILTERS
    """Candidates to remove besides positives and repeated texts. near_duplicate: of a positive;
    same_document, same_title: as a positive; equals_query; translation: of a positive or the
    query, by the run's parallel pairs."""
    near_duplicate_threshold: float = 0.75
    """Jaccard similarity of word 5-grams from which two passages are near duplicates."""
    first_rank: int = 0
    """Skip this many of the best surviving candidates."""
    last_rank: int = 0
    """Choose among this many of the best surviving candidates; 0: among all."""
    max_positive_ratio: float = 0.95
    """A candidate must score at most this share of the positive's score, the lowest where there
    are several (TopK-PercPos, NV-Retriever: 0.95; signs are minded); 0: any share."""
    absolute_margin: float | None = None
    """A candidate must score this much less than the positive; unset: any score."""
    max_score: float | None = None
    """A candidate must score at most this; unset: any score."""
    rescore: RescoreConfig = field(default_factory=RescoreConfig)
    """A second, better score for the candidates, which the margins then judge."""
    sampling: str = "top"
    """top: the best survivors; random: drawn from all in the window; simans: drawn with
    probability ~ exp(-a (s - s_positive - b)^2)."""
    simans_a: float = 1.0
    """a of SimANS: how sharply the draw prefers scores near the positive's plus b."""
    simans_b: float = 0.0
    """b of SimANS: the preferred difference to the positive's score."""
    starved: str = "fewer"
    """Queries with too few survivors at `max_depth`: fewer: they keep what they have; random:
    filled up from the pool; drop: they become no row, but a reject."""
    seed: int = 0
    """Decides what is drawn, per query: the same for any batch or number of processes."""
    samples: int = 50
    """Rows to read side by side in reports/mine-negatives.html."""
    part_mb: float = 64.0
    """Uncompressed size of a training shard in MB."""

    def __post_init__(self) -> None:
        _check_names(self)
        _check_numbers(self)
        _check_together(self)
        if self.on_workers:
            _check_workers(self)


def _check_names(config: MiningConfig) -> None:
    for option, known in CHOICES.items():
        if (value := getattr(config, option)) not in known:
            raise ConfigError(unknown_name(f"mining.{option}", value, known))
    lists = {"relations": RELATIONS, "limits": RELATIONS, "filters": FILTERS, "sources": SOURCES}
    for option, known in lists.items():
        for value in getattr(config, option):
            if value not in known:
                raise ConfigError(unknown_name(f"mining.{option}", value, known))


def _check_numbers(config: MiningConfig) -> None:
    for relation, limit in config.limits.items():
        check_range(f"mining.limits.{relation}", limit, 0, 1e12)
    check_range("mining.negatives", config.negatives, 0, 1000)
    check_range("mining.depth", config.depth, 1, 100_000)
    check_range("mining.max_depth", config.max_depth, 0, 10_000_000)
    check_range("mining.first_rank", config.first_rank, 0, 100_000)
    check_range("mining.last_rank", config.last_rank, 0, 100_000)
    check_range("mining.max_positive_ratio", config.max_positive_ratio, 0.0, 10.0)
    check_range("mining.absolute_margin", config.absolute_margin or 0.0, -1e6, 1e6)
    check_range("mining.max_score", config.max_score or 0.0, -1e6, 1e6)
    check_range("mining.near_duplicate_threshold", config.near_duplicate_threshold, 0.05, 1.0)
    check_range("mining.fusion_constant", config.fusion_constant, 0.0, 1e6)
    check_range("mining.simans_a", config.simans_a, 0.0, 1e6)
    check_range("mining.simans_b", config.simans_b, -1e6, 1e6)
    check_range("mining.seed", config.seed, 0, 1 << 32)
    check_range("mining.samples", config.samples, 0, 10_000)
    check_range("mining.part_mb", config.part_mb, 0.01, 4096)


def _check_together(config: MiningConfig) -> None:
    """Raise `ConfigError` for options that contradict each other or would do nothing."""
    window = config.last_rank - config.first_rank
    if config.last_rank and window < config.negatives:
        raise ConfigError(
            f"mining.last_rank = {config.last_rank} leaves {max(0, window)} candidates after "
            f"first_rank = {config.first_rank}, fewer than negatives = {config.negatives}; "
            "0 sets no bound"
        )
    if not config.sources or len(set(config.sources)) < len(config.sources):
        raise ConfigError(
            f"mining.sources = {list(config.sources)!r} must name one or more of "
            f"{', '.join(SOURCES)}, each once"
        )
    if config.fusion_weights and config.fusion != "weighted":
        raise ConfigError("mining.fusion_weights goes with mining.fusion = 'weighted'")
    if config.fusion_weights and len(config.fusion_weights) != len(config.sources):
        raise ConfigError(
            f"mining.fusion_weights takes one weight for each of the {len(config.sources)} "
            f"mining.sources, got {list(config.fusion_weights)!r}"
        )
    _check_idle(config)


def _check_idle(config: MiningConfig) -> None:
    """Raise `ConfigError` for an option that was set and does nothing beside the others."""
    plain = type(config).__dataclass_fields__
    several = len(config.sources) > 1
    ranks = "mining.fusion = 'rrf' and two or more mining.sources"
    for option, acts, needs in (
        ("simans_a", config.sampling == "simans", "mining.sampling = 'simans'"),
        ("simans_b", config.sampling == "simans", "mining.sampling = 'simans'"),
        ("fusion", several, "two or more mining.sources"),
        ("fusion_constant", several and config.fusion == "rrf", ranks),
    ):
        value = getattr(config, option)
        if value != plain[option].default and not acts:
            raise ConfigError(f"mining.{option} = {value!r} goes with {needs} only")
    if config.negatives_from != "mined" and config.rescore.by != "none":
        raise ConfigError(
            f"mining.rescore.by = {config.rescore.by!r} does nothing with "
            f"mining.negatives_from = {config.negatives_from!r}"
        )


def _check_workers(config: MiningConfig) -> None:
    """Raise `ConfigError` for what workers do not search."""
    for fits, option in (
        (config.negatives_from == "mined", "mining.negatives_from = 'mined'"),
        (config.sources == ("dense",), "mining.sources = ['dense']"),
        (config.pool == "mixed", "mining.pool = 'mixed'"),
        (config.index.factory in ("auto", "Flat"), "mining.index.factory = 'auto' or 'Flat'"),
    ):
        if not fits:
            raise ConfigError(f"mining.on_workers = true goes with {option} only")
