"""What is evaluated, and how: the `[evaluation]` table."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from curation.errors import ConfigError, check_range, unknown_name

KINDS = ("questions", "beir", "flagembedding", "miracl", "mr-tydi", "mkqa", "mldr", "narrativeqa")
"""The formats that evaluation sets are read in."""
MODELS = ("m3", "bm25", "sentence-transformers", "endpoint")
"""What can be evaluated."""
ANALYSES = ("language", "tokenizer")
BEFORE, AFTER = "before", "after"
LEXICAL = "bm25"
"""The one mode of BM25."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the sums of scores: (dense, sparse) and (dense, sparse, multi-vector)."""

    pair: tuple[float, float]
    all: tuple[float, float, float]


# Paper, section 4 and appendix: one pair of sums for passages, another for long documents.
_PASSAGES = Weights((1.0, 0.3), (1.0, 0.3, 1.0))
_DOCUMENTS = Weights((0.2, 0.8), (0.15, 0.5, 0.35))
PRESETS = {
    "miracl": _PASSAGES,
    "mkqa": _PASSAGES,
    "mldr": _DOCUMENTS,
    "narrativeqa": _DOCUMENTS,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationSet:
    """One `[[evaluation.sets]]` table: a set, or as many as its path's glob names."""

    kind: str = "beir"
    """questions: the held-out questions of this run; beir; flagembedding: an evaluation folder or
    query/pos/neg rows; miracl, mr-tydi, mkqa, mldr, narrativeqa: as they are published."""
    name: str = ""
    """The set's name in tables; default: its kind, or its folder's name."""
    path: str = ""
    """All kinds but questions: the folder or file, or a glob of them; URLs too (hf://datasets/…)."""
    corpus: str = ""
    """Search the corpus of this folder instead of the set's own; {language} stands for the set's.
    miracl, mr-tydi and mkqa have theirs in a folder of its own."""
    pair_by: str = ""
    """With `corpus`: a regular expression; documents of the two corpora whose ids it gives the same
    match are the same document in another language, as '-d[0-9]+$'."""
    language: str = ""
    """The queries' language; default: what the folder's name ends in. kind mkqa: this one only."""
    document_language: str = ""
    """The documents' language; default: what the folder's name ends in, else the queries'."""
    split: str = ""
    """Which split; default: dev of miracl, test elsewhere."""
    preset: str = ""
    """Weights of the sums as in the paper: miracl, mkqa, mldr, narrativeqa; default: those of
    [evaluation]."""
    max_documents: int = 0
    """Search so many documents only: those judged for the queries, however many, and others (by
    hash of their id); 0: all. Figures are higher than over the whole corpus."""
    max_queries: int = 0
    """Evaluate the first so many queries only (by hash of their id); 0: all."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(unknown_name("evaluation.sets.kind", self.kind, KINDS))
        if self.preset and self.preset not in PRESETS:
            raise ConfigError(unknown_name("evaluation.sets.preset", self.preset, PRESETS))
        if self.kind == "questions" and self.path:
            raise ConfigError(
                f"evaluation.sets: kind = 'questions' is read from the run; drop {self.path!r}"
            )
        if self.kind != "questions" and not self.path:
            raise ConfigError(f"evaluation.sets: kind = {self.kind!r} needs `path`: folder or glob")
        if self.kind == "mkqa" and self.max_documents:
            raise ConfigError(
                "evaluation.sets: kind = 'mkqa' judges by answers, so its corpus is searched "
                "whole; drop max_documents"
            )
        if self.pair_by and not self.corpus:
            raise ConfigError("evaluation.sets.pair_by needs `corpus`: another folder's documents")
        _check_expression(self.pair_by)
        check_range("evaluation.sets.max_documents", self.max_documents, 0, 1 << 40)
        check_range("evaluation.sets.max_queries", self.max_queries, 0, 1 << 40)

    @property
    def label(self) -> str:
        """The set's name in tables."""
        return self.name or os.path.basename(self.path.rstrip("/")) or self.kind


def _check_expression(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"evaluation.sets.pair_by = {pattern!r} is no regular expression: {error}"
        ) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationModel:
    """One `[[evaluation.models]]` table: a row, or five, in the tables."""

    kind: str = "m3"
    """m3: a checkpoint or encoder folder, in five modes; bm25; sentence-transformers: dense, a
    folder or hub name (needs threefold[baselines]); endpoint: an OpenAI-compatible server."""
    name: str = ""
    """The model's name in tables; default: its folder's or model's name."""
    path: str = ""
    """m3, sentence-transformers: the folder or hub name."""
    analysis: str = "language"
    """bm25: language: an analyzer for the documents' language; tokenizer: the pieces of [model]'s
    tokenizer, as the paper did."""
    url: str = ""
    """endpoint: the base URL, as http://localhost:8000/v1."""
    model: str = ""
    """endpoint: the model to ask for."""
    key_env: str = "OPENAI_API_KEY"
    """endpoint: the environment variable that holds the key; where it is unset none is sent."""
    batch_size: int = 32
    """sentence-transformers, endpoint: texts a batch or request."""
    concurrency: int = 4
    """endpoint: requests at once."""
    query_prompt: str = ""
    """sentence-transformers, endpoint: put before every query, where the folder has no prompt."""
    passage_prompt: str = ""
    """The same of passages."""

    def __post_init__(self) -> None:
        if self.kind not in MODELS:
            raise ConfigError(unknown_name("evaluation.models.kind", self.kind, MODELS))
        if self.analysis not in ANALYSES:
            raise ConfigError(unknown_name("evaluation.models.analysis", self.analysis, ANALYSES))
        needed = {"m3": ("path",), "sentence-transformers": ("path",), "endpoint": ("url", "model")}
        for option in needed.get(self.kind, ()):
            if not getattr(self, option):
                raise ConfigError(f"evaluation.models: kind = {self.kind!r} needs `{option}`")
        check_range("evaluation.models.batch_size", self.batch_size, 1, 1 << 16)
        check_range("evaluation.models.concurrency", self.concurrency, 1, 1024)

    @property
    def label(self) -> str:
        """The model's name in tables."""
        if self.name:
            return self.name
        if self.kind == "bm25":
            return "BM25" if self.analysis == "language" else "BM25 (tokenizer)"
        return self.model or os.path.basename(self.path.rstrip("/"))


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """The `[evaluation]` table."""

    sets: tuple[EvaluationSet, ...] = (EvaluationSet(kind="questions"),)
    """What to evaluate on."""
    models: tuple[EvaluationModel, ...] = ()
    """What to evaluate besides the trained model: baselines and other checkpoints."""
    before: bool = True
    """Evaluate the model as it was before training too (encoder and fresh heads)."""
    after: bool = True
    """Evaluate the run's trained model; false, with `before` false too: only `models`."""
    reference: str = ""
    """Test every model's difference to this one; default: to the model before training, else to the
    first one."""
    rerank_depth: int = 200
    """Multi-vector and all-heads scores re-rank this many of dense's best (paper, section 4.1)."""
    union_depth: int = 1000
    """Dense+sparse re-ranks the union of both heads' best so many."""
    weights: tuple[float, float, float] = (1.0, 0.3, 1.0)
    """Weights of dense, sparse and multi-vector scores in the sums (paper: MIRACL)."""
    pair_weights: tuple[float, float] | None = None
    """Weights of dense and sparse scores in dense+sparse; default: the first two of `weights`."""
    tune_weights: float = 0.0
    """Tune the weights of each model on this share of a set's queries (by hash of their id) and
    evaluate everything on the rest; 0: the weights above, all queries."""
    run_depth: int = 1000
    """Documents a query in the TREC run files, at least 100."""
    resamples: int = 1000
    """Draws of the bootstrap intervals and of the paired test; 0: neither."""
    seed: int = 0
    """Decides those draws."""
    precision: str = "auto"
    """In which the encoder computes: fp32, bf16, or auto: bf16 where a probe shows it faster."""
    batch_tokens: int = 4096
    """Tokens per encoding batch, padding included."""
    token_vectors_mb: float = 2048.0
    """Token vectors of documents kept in memory; those beyond are encoded again if re-ranked."""
    cache: str = ""
    """Folder of documents' vectors that are kept for later evaluations (of SciFact 1 GB a model of
    width 384, mostly token vectors); default: none are."""
    report: bool = True
    """Write reports/evaluate.html."""

    def __post_init__(self) -> None:
        check_range("evaluation.rerank_depth", self.rerank_depth, 1, 100_000)
        check_range("evaluation.union_depth", self.union_depth, 1, 100_000)
        check_range("evaluation.batch_tokens", self.batch_tokens, 16, 1 << 24)
        check_range("evaluation.tune_weights", self.tune_weights, 0.0, 0.9)
        check_range("evaluation.run_depth", self.run_depth, 100, 100_000)
        check_range("evaluation.resamples", self.resamples, 0, 1_000_000)
        check_range("evaluation.seed", self.seed, 0, 1 << 32)
        check_range("evaluation.token_vectors_mb", self.token_vectors_mb, 0.0, 1e9)
        for weight in (*self.weights, *(self.pair_weights or ())):
            check_range("evaluation.weights", weight, 0.0, 1e6)
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ConfigError(
                unknown_name("evaluation.precision", self.precision, ("auto", "fp32", "bf16"))
            )
        _check_names(self)

    def weights_for(self, preset: str) -> Weights:
        """Return the weights of a set's preset, or the table's own."""
        if preset:
            return PRESETS[preset]
        return Weights(self.pair_weights or self.weights[:2], self.weights)


def _check_names(config: EvaluationConfig) -> None:
    """Raise `ConfigError` where two models share a name."""
    labels = [model.label for model in config.models]
    for label in labels:
        if labels.count(label) > 1 or label in (BEFORE, AFTER):
            raise ConfigError(
                f"evaluation.models: two models are called {label!r}; give each a `name` of its own"
            )
