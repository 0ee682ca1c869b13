"""Our model as an mteb model: any retrieval or reranking task in any of the five modes.

    import mteb
    from pipelines.evaluation.mteb_model import M3Search

    model = M3Search("out/demo/model", mode="all")
    mteb.evaluate(model, mteb.get_tasks(tasks=["MIRACLRetrieval"], languages=["fin"]))

Needs threefold[mteb]. Other kinds of task want one vector a text: give mteb the checkpoint folder
itself, which loads in sentence-transformers.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from curation.errors import ConfigError, unknown_name
from mining.encode import best_device
from mining.text_parts import texts_digest
from pipelines.encoders import encoder_folder
from pipelines.evaluation.config import PRESETS, EvaluationConfig
from pipelines.evaluation.encoding import Encoder, Ints
from pipelines.evaluation.models import config_of
from pipelines.evaluation.retrieval import Floats, M3Retriever, Ranked, weighted
from pipelines.evaluation.runs import Run, named
from pipelines.evaluation.sets import RetrievalSet
from train import checkpoint
from train.config import ModelConfig
from train.precision import resolve_precision
from train.watch import MODES

_KINDS = {
    "dense": ["dense"],
    "sparse": ["sparse"],
    "multi-vector": ["late-interaction"],
    "dense+sparse": ["hybrid"],
    "all": ["hybrid"],
}
"""What mteb calls the modes."""


class M3Search:
    """A checkpoint or encoder folder that mteb's retrieval tasks can index and search with."""

    def __init__(
        self,
        folder: str,
        *,
        mode: str = "all",
        preset: str = "miracl",
        config: EvaluationConfig | None = None,
        limits: ModelConfig | None = None,
    ) -> None:
        """Load the model; raise `ConfigError` for an unknown mode or preset.

        `preset` names the weights of the sums; `config` has the depths and the token budget,
        `limits` the lengths at which texts are cut.
        """
        if mode not in MODES:
            raise ConfigError(unknown_name("mode", mode, MODES))
        if preset not in PRESETS:
            raise ConfigError(unknown_name("preset", preset, PRESETS))
        self.mode = mode
        self._folder = encoder_folder(folder)
        self._weights = PRESETS[preset]
        self._config = config or EvaluationConfig()
        model_config = config_of(self._folder, limits or ModelConfig())
        model = checkpoint.load(self._folder, model_config).to(best_device())
        dtype = resolve_precision(self._config.precision, model.device)
        encoder = Encoder(model, self._config.batch_tokens, dtype)
        self._model = model
        self._retriever = M3Retriever(encoder, self._config)
        self._corpus: dict[str, str] = {}

    def index(self, corpus: Any, **_: Any) -> None:
        """Take a corpus: rows with id, text and, if they have one, title."""
        self._corpus = {row["id"]: _document(row) for row in corpus}

    def search(
        self,
        queries: Any,
        *,
        top_k: int = 1000,
        top_ranked: dict[str, list[str]] | None = None,
        **_: Any,
    ) -> Run:
        """Return the scores of the best `top_k` documents of each query, or of `top_ranked` ones.

        Multi-vector and all re-rank dense's best, so they return at most `rerank_depth`.
        """
        names = [row["id"] for row in queries]
        data = RetrievalSet(
            name="mteb",
            query_ids=names,
            queries=[_query(row) for row in queries],
            document_ids=list(self._corpus),
            documents=list(self._corpus.values()),
            judgements={},
            corpus=texts_digest([*self._corpus.values()]),
        )
        if top_ranked is None:
            ranked = self._retriever.find(data).runs(self._weights)[self.mode]
        else:
            ranked = self._ranked(data, top_ranked)
        return named(ranked, data, top_k)

    def _ranked(self, data: RetrievalSet, top_ranked: dict[str, list[str]]) -> Ranked:
        """Return the given documents of each query in this mode's order."""
        places = {name: number for number, name in enumerate(data.document_ids)}
        rows = [[places[name] for name in top_ranked.get(query, [])] for query in data.query_ids]
        numbers: Ints = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int64)
        for i, row in enumerate(rows):
            numbers[i, : len(row)] = row
        scores: Floats = self._retriever.score(data, numbers)
        pair, triple = self._weights.pair, self._weights.all
        weights: dict[str, tuple[float, ...]] = {
            "dense": (1.0, 0.0, 0.0),
            "sparse": (0.0, 1.0, 0.0),
            "multi-vector": (0.0, 0.0, 1.0),
            "dense+sparse": (*pair, 0.0),
            "all": triple,
        }
        return weighted(scores, numbers, weights[self.mode])

    @property
    def mteb_model_meta(self) -> Any:
        """What mteb writes beside the scores."""
        from mteb.models.model_meta import ModelMeta

        name = os.path.basename(self._folder.rstrip("/"))
        return ModelMeta.create_empty(
            {
                "name": f"threefold/{name}-{self.mode}",
                "revision": "local",
                "n_parameters": sum(p.numel() for p in self._model.parameters()),
                "embed_dim": int(self._model.encoder.config.hidden_size),
                "max_tokens": self._model.config.max_passage_tokens,
                "framework": ["PyTorch"],
                "model_type": _KINDS[self.mode],
                "use_instructions": bool(self._model.config.query_prompt),
            }
        )


def _document(row: Any) -> str:
    text = row.get("text") or row.get("body") or ""
    return f"{row.get('title') or ''}\n{text}".strip()


def _query(row: Any) -> str:
    """Return a query; an instruction stands before it, as mteb's own models have it."""
    return f"{row.get('instruction') or ''} {row['text']}".strip()
