"""The models of a config as things that rank a set's documents."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from curation.errors import ConfigError
from mining.encode import Report, best_device, probe_dtype
from pipelines.encoders import encoder_folder
from pipelines.evaluation import tuning
from pipelines.evaluation.baselines import Bm25Retriever, DenseRetriever, sentence_transformer
from pipelines.evaluation.config import EvaluationConfig, EvaluationModel, Weights
from pipelines.evaluation.encoding import Encoder
from pipelines.evaluation.endpoint import endpoint
from pipelines.evaluation.retrieval import M3Retriever, Ranked
from pipelines.evaluation.sets import RetrievalSet
from train import checkpoint, layout
from train.config import ModelConfig
from train.model import M3Model


class Retriever(Protocol):
    """What ranks a set's documents, in one mode or more."""

    def retrieve(self, data: RetrievalSet, report: Report | None = None) -> dict[str, Ranked]:
        """Return the ranking of each mode."""


@dataclass(slots=True)
class WeightedRetriever:
    """An M3 model in its five modes, with the weights of the config or tuned ones."""

    inner: M3Retriever
    config: EvaluationConfig
    weights: dict[str, Weights] = field(default_factory=dict)
    """What was used, by set."""

    def retrieve(self, data: RetrievalSet, report: Report | None = None) -> dict[str, Ranked]:
        """Return the ranking of each mode."""
        found = self.inner.find(data, report)
        weights = self.config.weights_for(data.preset)
        queries = tuning.development(data, self.config.tune_weights)
        if queries:
            weights = tuning.tune(found, data, queries)
        self.weights[data.name] = weights
        return found.runs(weights)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to evaluate, not loaded yet: only one is in memory at a time."""

    name: str
    kind: str
    load: Callable[[], Retriever]


def of_model(model: M3Model, config: EvaluationConfig, dtype: str) -> WeightedRetriever:
    """Return the retriever of a loaded model, encoding in `dtype`."""
    encoder = Encoder(model, config.batch_tokens, dtype)
    return WeightedRetriever(M3Retriever(encoder, config), config)


@dataclass(slots=True)
class Loader:
    """Makes retrievers; all M3 models encode in one precision, that of the first."""

    config: EvaluationConfig
    model: ModelConfig
    seed: int
    dtype: str = ""

    def trained(self, name: str, folder: str) -> Candidate:
        """Return the model of a run, which fits the run's `[model]`."""
        return Candidate(name, "m3", lambda: self._m3(folder, self.model))

    def listed(self, wanted: EvaluationModel) -> Candidate:
        """Return a model of `[[evaluation.models]]`."""
        makers: dict[str, Callable[[], Retriever]] = {
            "m3": lambda: self._of_folder(encoder_folder(wanted.path)),
            "bm25": lambda: self._bm25(wanted),
            "sentence-transformers": lambda: self._dense(
                sentence_transformer(wanted, encoder_folder)
            ),
            "endpoint": lambda: self._dense(endpoint(wanted)),
        }
        return Candidate(wanted.label, wanted.kind, makers[wanted.kind])

    def _m3(self, folder: str, model_config: ModelConfig) -> Retriever:
        model = checkpoint.load(folder, model_config, self.seed).to(best_device())
        if not self.dtype:
            precision = self.config.precision
            self.dtype = probe_dtype(model)[0] if precision == "auto" else precision
        return of_model(model, self.config, self.dtype)

    def _of_folder(self, folder: str) -> Retriever:
        return self._m3(folder, config_of(folder, self.model))

    def _bm25(self, wanted: EvaluationModel) -> Retriever:
        tokenizer: Any = None
        if wanted.analysis == "tokenizer":
            from transformers import AutoTokenizer

            folder = encoder_folder(self.model.encoder)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return Bm25Retriever(self.config.union_depth, tokenizer)

    def _dense(self, embed: Any) -> Retriever:
        return DenseRetriever(embed, self.config.union_depth)


def config_of(folder: str, run: ModelConfig) -> ModelConfig:
    """Return the model config of any checkpoint or encoder folder.

    Pooling and prompts are the folder's own: of `threefold.json`, else of sentence-transformers'
    files, else of BGE-M3 (CLS, none) where it has that model's heads. A bare encoder says nothing
    of them: then they are those of `run`. Lengths are those of `run`, as far as the encoder goes.
    """
    own = checkpoint.config_of(folder)
    if not os.path.exists(os.path.join(folder, layout.CONFIG_FILE)):
        found = _sentence_transformers(folder)
        if not found and not os.path.exists(os.path.join(folder, layout.SPARSE_FILE)):
            names = ("pooling", "query_prompt", "passage_prompt")
            found = {name: getattr(run, name) for name in names}
        own = replace(own, **found)
    return replace(
        own,
        max_query_tokens=min(own.max_query_tokens, run.max_query_tokens),
        max_passage_tokens=min(own.max_passage_tokens, run.max_passage_tokens),
    )


def _sentence_transformers(folder: str) -> dict[str, Any]:
    """Return pooling and prompts as sentence-transformers' files of a folder say."""
    found: dict[str, Any] = {}
    pooling = os.path.join("1_Pooling", "config.json")
    if os.path.exists(os.path.join(folder, pooling)):
        found["pooling"] = _pooling(folder, layout.read_json(folder, pooling))
    name = "config_sentence_transformers.json"
    if os.path.exists(os.path.join(folder, name)):
        prompts = layout.read_json(folder, name).get("prompts") or {}
        passage = prompts.get("document") or prompts.get("passage") or ""
        found |= {"query_prompt": prompts.get("query") or "", "passage_prompt": passage}
    return found


def _pooling(folder: str, told: dict[str, Any]) -> str:
    for mode in ("cls", "mean"):
        names = (f"pooling_mode_{mode}_token", f"pooling_mode_{mode}_tokens")
        if told.get("pooling_mode") == mode or any(told.get(name) for name in names):
            return mode
    raise ConfigError(
        f"{folder}/1_Pooling pools neither CLS nor the mean; evaluate it as "
        "kind = 'sentence-transformers'"
    )
