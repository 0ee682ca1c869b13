"""What a model is compared with: BM25, sentence-transformers' models, embedding endpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from curation.errors import InputError, first_line
from mining.analysis import Analyser, TokenizerAnalyser, analyser
from mining.bm25 import Bm25Index
from mining.encode import Report, Vectors
from mining.index import search
from pipelines.evaluation.config import LEXICAL, EvaluationModel
from pipelines.evaluation.retrieval import Ranked
from pipelines.evaluation.sets import RetrievalSet

DENSE = "dense"


@dataclass(slots=True)
class Bm25Retriever:
    """BM25 over each set's documents."""

    depth: int
    tokenizer: Any = None
    """Of the paper's variant; None: an analyzer for the documents' language."""
    _built: tuple[str, str] = ("", "")
    """Of which documents the index is, and for which language."""
    _index: Bm25Index | None = field(default=None, repr=False)

    def retrieve(self, data: RetrievalSet, report: Report | None = None) -> dict[str, Ranked]:
        """Return the ranking of a set's documents."""
        wanted = data.corpus, data.document_language
        if self._index is None or self._built != wanted:
            self._index = Bm25Index.build(data.documents, self._analyser(data.document_language))
            self._built = wanted
        if report:
            report(len(data.documents), 0)
        return {LEXICAL: self._index.search(data.queries, min(self.depth, len(data.documents)))}

    def _analyser(self, language: str) -> Analyser:
        if self.tokenizer is not None:
            return TokenizerAnalyser(self.tokenizer, "model")
        return analyser(language)


class Embedder(Protocol):
    """What turns texts into dense vectors."""

    def __call__(
        self, texts: Sequence[str], *, is_query: bool, report: Report | None = None
    ) -> Vectors:
        """Return (N, d) fp32."""


@dataclass(slots=True)
class DenseRetriever:
    """Exact search by the inner product of an embedder's vectors."""

    embed: Embedder
    depth: int
    _corpus: str = ""
    _documents: Vectors | None = field(default=None, repr=False)

    def retrieve(self, data: RetrievalSet, report: Report | None = None) -> dict[str, Ranked]:
        """Return the ranking of a set's documents."""
        if self._documents is None or self._corpus != data.corpus:
            self._documents = self.embed(data.documents, is_query=False, report=report)
            self._corpus = data.corpus
        queries = self.embed(data.queries, is_query=True)
        return {DENSE: search(queries, self._documents, self.depth)}


def normalised(vectors: Vectors) -> Vectors:
    """Return vectors of length 1: their inner product is the cosine."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return result


def sentence_transformer(wanted: EvaluationModel, locate: Callable[[str], str]) -> Embedder:
    """Return the embedder of a sentence-transformers folder or hub name, with its own prompts.

    Raises `InputError` where the library is not installed or the folder does not load.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise InputError(
            "evaluation.models: kind = 'sentence-transformers' needs the library: "
            "pip install 'threefold[baselines]'"
        ) from error
    folder = locate(wanted.path)
    try:
        model = SentenceTransformer(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        reason = first_line(error)
        raise InputError(f"{folder} does not load in sentence-transformers: {reason}") from error

    def embed(texts: Sequence[str], *, is_query: bool, report: Report | None = None) -> Vectors:
        encode = model.encode_query if is_query else model.encode_document
        prompt = wanted.query_prompt if is_query else wanted.passage_prompt
        options = {"prompt": prompt} if prompt else {}
        step = 64 * wanted.batch_size  # texts sorted by length together, and between two reports
        parts = []
        for start in range(0, len(texts), step):
            block = list(texts[start : start + step])
            parts.append(
                encode(block, batch_size=wanted.batch_size, show_progress_bar=False, **options)
            )
            if report:
                report(start + len(block), 0)
        vectors = np.concatenate(parts).astype(np.float32)
        return vectors if model.similarity_fn_name == "dot" else normalised(vectors)

    return embed
