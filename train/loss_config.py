"""The `[train.loss]` table: what is minimised."""

from __future__ import annotations

from dataclasses import dataclass

from curation.errors import ConfigError, check_range, unknown_name

HEADS = ("dense", "sparse", "multi_vector")
TEACHERS = ("scores", "teacher_scores")
"""Columns of a row that a teacher can be: positive_… and negative_…"""


@dataclass(frozen=True, slots=True)
class Preset:
    """The constants of one form of the paper's objective."""

    ensemble_weights: tuple[float, ...]
    loss_weights: tuple[float, ...]
    combine: str


PRESETS = {
    "paper": Preset((1.0, 0.3, 1.0), (1.0, 0.1, 1.0), "mean"),
    "simple": Preset((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), "sum"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """The `[train.loss]` table: the objective (paper, section 3.2)."""

    preset: str = "paper"
    """Constants of: paper (its final form) or simple (its first: plain sums, L + L'). The three
    options that follow win over the preset."""
    ensemble_weights: tuple[float, ...] = ()
    """w: dense, sparse, multi-vector shares in the ensemble; []: the preset's (paper: 1, 0.3, 1;
    simple: 1, 1, 1)."""
    loss_weights: tuple[float, ...] = ()
    """λ: weights of the heads' own losses; []: the preset's (paper: 1, 0.1, 1; simple: 1, 1, 1)."""
    combine: str = ""
    """Contrastive loss L and distillation L': mean ((L + L')/2) or sum; "": the preset's (paper:
    mean; simple: sum)."""
    temperature: float = 0.02
    """Scores are divided by this before every softmax."""
    heads: tuple[str, ...] = HEADS
    """Which heads learn, of dense, sparse, multi_vector. One alone has its InfoNCE as the whole
    loss: no ensemble, no self-distillation."""
    self_distillation: bool = True
    """Learn every head from the ensemble's distribution too."""
    cross_device: bool = True
    """Passages of all processes are negatives of every query. Off: each process has its own, and
    the mean of their losses is minimised."""
    false_negative_margin: float = 0.0
    """A passage that scores above the query's positive by more than this is no negative for it;
    below 0: already before it reaches the positive; 0: off."""
    false_negative_score: str = "ensemble"
    """The score that the margin compares: ensemble (the weighted sum) or dense."""
    matryoshka: tuple[int, ...] = ()
    """Widths: the dense head's InfoNCE is averaged over vectors cut to these and normalised again;
    []: the whole vector alone."""
    matryoshka_weights: tuple[float, ...] = ()
    """Weight of each width in the average; []: all equal."""
    teacher: str = "none"
    """Learn from the scores in the rows: none, kl (each head's distribution over a row's passages)
    or margin-mse (distances to the positive, of the ensemble). Rows without scores are counted."""
    teacher_columns: str = "scores"
    """The rows' columns: scores (the miner's encoder) or teacher_scores (those of the data set)."""
    teacher_weight: float = 1.0
    """The teacher's loss is added times this."""
    teacher_temperature: float = 1.0
    """The teacher's scores are divided by this; cosines want train.loss.temperature."""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(unknown_name("train.loss.preset", self.preset, PRESETS))
        for name in ("ensemble_weights", "loss_weights", "combine"):
            if not getattr(self, name):
                object.__setattr__(self, name, getattr(PRESETS[self.preset], name))
        _check_names(self)
        _check_numbers(self)
        _check_lists(self)


_CHOICES = {
    "combine": ("mean", "sum"),
    "false_negative_score": ("ensemble", "dense"),
    "teacher": ("none", "kl", "margin-mse"),
    "teacher_columns": TEACHERS,
}


def _check_names(config: LossConfig) -> None:
    for name, choices in _CHOICES.items():
        if getattr(config, name) not in choices:
            raise ConfigError(unknown_name(f"train.loss.{name}", getattr(config, name), choices))
    for head in config.heads:
        if head not in HEADS:
            raise ConfigError(unknown_name("train.loss.heads", head, HEADS))
    if not config.heads or len(set(config.heads)) < len(config.heads):
        raise ConfigError(
            f"train.loss.heads = {config.heads!r} must name each head that learns once"
        )


def _check_numbers(config: LossConfig) -> None:
    check_range("train.loss.temperature", config.temperature, 1e-4, 10.0)
    check_range("train.loss.false_negative_margin", config.false_negative_margin, -1e3, 1e3)
    check_range("train.loss.teacher_weight", config.teacher_weight, 0.0, 1e3)
    check_range("train.loss.teacher_temperature", config.teacher_temperature, 1e-4, 1e4)
    for name in ("ensemble_weights", "loss_weights", "matryoshka_weights"):
        for weight in getattr(config, name):
            check_range(f"train.loss.{name}", weight, 0.0, 1e3)
    for width in config.matryoshka:
        check_range("train.loss.matryoshka", width, 1, 1 << 16)


def _check_lists(config: LossConfig) -> None:
    for name in ("ensemble_weights", "loss_weights"):
        if len(getattr(config, name)) != len(HEADS):
            raise ConfigError(
                f"train.loss.{name} = {list(getattr(config, name))} takes three numbers, for "
                f"{', '.join(HEADS)}; or [] for those of the preset"
            )
    weights = config.matryoshka_weights
    if weights and (len(weights) != len(config.matryoshka) or not any(weights)):
        raise ConfigError(
            f"train.loss.matryoshka_weights = {list(weights)} takes one number for each of "
            f"train.loss.matryoshka = {list(config.matryoshka)}, not all 0; or [] for equal ones"
        )
    if config.matryoshka and "dense" not in config.heads:
        raise ConfigError("train.loss.matryoshka is for the dense head; add it to train.loss.heads")
    if config.false_negative_score == "dense" and "dense" not in config.heads:
        raise ConfigError(
            "train.loss.false_negative_score = 'dense' needs the dense head in train.loss.heads"
        )
