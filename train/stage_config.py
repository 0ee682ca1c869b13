"""The `[[train.stages]]` and `[train.batching]` tables: what is trained in which order, on what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from curation.errors import ConfigError, check_range, unknown_name
from train.loss_config import LossConfig

SAMPLED = ("language", "source")
"""What sampling by temperature levels."""
GROUPS = ("source", "relation", "language", "query_language")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of stage trains, on what, and the settings that the paper gives it."""

    data: tuple[str, ...]
    """The folders it can read; the first by default."""
    parts: tuple[str, ...]
    """What learns: encoder, heads."""
    settings: dict[str, Any]
    batches: tuple[int, ...]
    """The paper's whole batch of each length bucket (Table 9; appendix B.1)."""


_FINE_TUNING = (1152, 768, 480, 432, 336, 336, 288, 240, 192)
KINDS = {
    "retromae": Kind(
        ("documents",),
        ("encoder",),
        {"learning_rate": 7e-5, "batch_sizes": (32,) * 9},
        (32 * 16,) * 9,
    ),
    "pretrain": Kind(
        ("pairs", "training"),
        ("encoder",),
        {
            "learning_rate": 5e-5,
            "batch_sizes": (700, 570, 388, 288, 224, 180, 157, 128, 104),
            "negatives": 0,
        },
        (67200, 54720, 37248, 27648, 21504, 17280, 15072, 12288, 9984),
    ),
    "warmup": Kind(("training", "pairs"), ("heads",), {}, _FINE_TUNING),
    "finetune": Kind(("training", "pairs"), ("encoder", "heads"), {}, _FINE_TUNING),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StageConfig:
    """One `[[train.stages]]` table: what it does not say is as in `[train]`, or as the paper's."""

    kind: str
    """retromae: masked auto-encoding of documents; pretrain: dense only, in-batch negatives;
    warmup: sparse and multi-vector heads on a frozen encoder; finetune: all heads."""
    data: str = ""
    """documents (retromae), pairs or training; default: pairs for pretrain, else training."""
    epochs: float | None = None
    """As in [train]."""
    max_steps: int | None = None
    """As in [train]."""
    batch_sizes: tuple[int, ...] | None = None
    """As in [train]; default of retromae 32, of pretrain the paper's pre-training table per GPU."""
    batch_tokens: int | None = None
    """As in [train]."""
    negatives: int | None = None
    """As in [train]; default of pretrain 0."""
    learning_rate: float | None = None
    """As in [train]; default of retromae 7e-5, of pretrain 5e-5 (paper, appendix B.1)."""
    head_learning_rate: float | None = None
    """As in [train]."""
    warmup_share: float | None = None
    """As in [train]."""
    max_query_tokens: int = 0
    """Longer queries are cut in this stage; 0: at model.max_query_tokens."""
    max_passage_tokens: int = 0
    """Longer passages and documents are cut in this stage; 0: at model.max_passage_tokens."""
    encoder_mask: float = 0.3
    """retromae: share of the tokens that the encoder does not see."""
    decoder_mask: float = 0.5
    """retromae: share of the tokens that each position of the decoder does not see."""
    loss: LossConfig | None = None
    """As in [train]."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(unknown_name("train.stages.kind", self.kind, KINDS))
        allowed = KINDS[self.kind].data
        if not self.data:
            object.__setattr__(self, "data", allowed[0])
        if self.data not in allowed:
            raise ConfigError(unknown_name(f"data of the stage {self.kind}", self.data, allowed))
        check_range("train.stages.max_query_tokens", self.max_query_tokens, 0, 1 << 20)
        check_range("train.stages.max_passage_tokens", self.max_passage_tokens, 0, 1 << 20)
        check_range("train.stages.encoder_mask", self.encoder_mask, 0.01, 0.9)
        check_range("train.stages.decoder_mask", self.decoder_mask, 0.01, 0.99)


_OVERRIDES = (
    "epochs",
    "max_steps",
    "batch_sizes",
    "batch_tokens",
    "negatives",
    "learning_rate",
    "head_learning_rate",
    "warmup_share",
)


def settings(stage: StageConfig, *, finds_sizes: bool) -> dict[str, Any]:
    """Return the `[train]` settings that a stage changes: its own, then those of its kind.

    Where `[train]` leaves batch sizes to be found, the kind's do not win over that.
    """
    own = {name: getattr(stage, name) for name in _OVERRIDES}
    found = dict(KINDS[stage.kind].settings)
    if finds_sizes:
        found.pop("batch_sizes", None)
    return found | {k: v for k, v in own.items() if v is not None}


def objective(stage: StageConfig, loss: LossConfig) -> LossConfig:
    """Return what a stage minimises: its own loss, and in pre-training the dense head alone."""
    found = stage.loss or loss
    return replace(found, heads=("dense",)) if stage.kind == "pretrain" else found


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchingConfig:
    """The `[train.batching]` table: which rows may share a batch, and how often they come."""

    group_by: tuple[str, ...] = ()
    """Columns in which all rows of a batch agree, as ["source", "relation"]; []: rows mix."""
    sampling_temperature: float = 1.0
    """T: a language and source of n rows comes with p ∝ n^(1/T); rows of small ones repeat, none is
    left out. 1: every row once an epoch."""
    max_repeats: float = 10.0
    """No row comes more often than this in an epoch."""

    def __post_init__(self) -> None:
        for name in self.group_by:
            if name not in GROUPS:
                raise ConfigError(unknown_name("train.batching.group_by", name, GROUPS))
        if len(set(self.group_by)) < len(self.group_by):
            raise ConfigError(f"train.batching.group_by = {self.group_by!r} names a column twice")
        check_range("train.batching.sampling_temperature", self.sampling_temperature, 1.0, 1e3)
        check_range("train.batching.max_repeats", self.max_repeats, 1.0, 1e4)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose values matter; those of the groups first."""
        sampled = SAMPLED if self.sampling_temperature > 1 else ()
        return tuple(dict.fromkeys((*self.group_by, *sampled)))
