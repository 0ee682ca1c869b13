"""Questions in words → answers that say why: what the command line, the page and the API share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from curation.errors import ConfigError, check_range
from mining.csr import Csr, as_weights
from mining.encode import encode_batches
from mining.explain import Span, Term, at_words, inside, shared_terms, spans, window
from mining.hybrid import Depths, HybridIndex, Ranking
from mining.hybrid_parts import Passage
from train.model import M3Model
from train.scoring import Embeddings

MOST_RESULTS = 1000
MOST_CHARACTERS = 20_000
_AT_ONCE = 64  # queries encoded together
_BATCH_TOKENS = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked for."""

    query: str
    mode: str
    language: str = ""
    """Only passages in this language; "": any."""
    top: int = 10

    def __post_init__(self) -> None:
        if not self.query.strip():
            raise ConfigError("the query is empty")
        if len(self.query) > MOST_CHARACTERS:
            raise ConfigError(
                f"the query has {len(self.query):,} characters; at most {MOST_CHARACTERS:,}"
            )
        check_range("top", self.top, 1, MOST_RESULTS)


@dataclass(frozen=True, slots=True)
class Result:
    """A passage that was found, and why."""

    rank: int
    passage: Passage
    score: float
    heads: dict[str, float]
    """The score of each head."""
    terms: list[Term]
    """The tokens it shares with the query, largest share of the sparse score first."""
    title: list[Span]
    """Where these stand in the title."""
    snippet: str
    """The stretch of the text where they add most."""
    matches: list[Span]
    """Where they stand in the snippet."""
    is_start: bool
    """Whether the snippet begins where the text does."""
    is_end: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        passage = self.passage
        return {
            "rank": self.rank,
            "id": passage.id,
            "title": passage.title,
            "language": passage.language,
            "url": passage.url,
            "score": self.score,
            "scores": self.heads,
            "terms": [
                {
                    "term": term.text,
                    "query_weight": round(term.query_weight, 4),
                    "passage_weight": round(term.passage_weight, 4),
                    "score": round(term.score, 4),
                }
                for term in self.terms
            ],
            "snippet": self.snippet,
            "matches": [[span.start, span.end] for span in self.matches],
            "text": passage.text,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """The results of a question."""

    question: Question
    results: list[Result]
    milliseconds: float
    """From the query's text to the ranking: encoding and search, without explaining."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "query": self.question.query,
            "mode": self.question.mode,
            "language": self.question.language or None,
            "milliseconds": round(self.milliseconds, 2),
            "results": [result.as_json() for result in self.results],
        }


class Searcher:
    """An index and its model; safe to share among threads, which take turns."""

    def __init__(self, index: HybridIndex, model: M3Model, depths: Depths | None = None) -> None:
        self.index, self.model = index, model
        self.depths = depths or Depths()
        self.default_mode = "all" if index.has_vectors else "dense+sparse"
        self._lock = threading.Lock()  # a tokenizer keeps its last cut; torch has its own threads

    def ask(self, question: Question) -> Answer:
        """Return the answer to one question."""
        [answer] = self.ask_all([question])
        return answer

    def ask_all(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Yield the answers to questions, in their order; queries are encoded together."""
        for question in questions:
            self.index.check_mode(question.mode)
            self.index.allowed(question.language)
        for first in range(0, len(questions), _AT_ONCE):
            batch = questions[first : first + _AT_ONCE]
            with self._lock:
                started = time.perf_counter()
                encoded = self._encode([question.query for question in batch])
                each = (time.perf_counter() - started) / len(batch)
                answers = [self._answer(*pair, each) for pair in zip(batch, encoded, strict=True)]
            yield from answers

    def _answer(self, question: Question, query: Embeddings, encoding: float) -> Answer:
        started = time.perf_counter()
        allowed = self.index.allowed(question.language)
        ranking = self.index.search(query, question.mode, question.top, self.depths, allowed)
        took = (time.perf_counter() - started + encoding) * 1000
        return Answer(question, list(self._results(query, ranking)), took)

    def _encode(self, queries: Sequence[str]) -> list[Embeddings]:
        found: dict[int, Embeddings] = {}
        batches = encode_batches(
            self.model,
            queries,
            is_query=True,
            budget=_BATCH_TOKENS,
            dtype=self.index.description["model"]["dtype"],
        )
        for numbers, batch in batches:
            for row, number in enumerate(numbers.tolist()):
                found[number] = batch.select(slice(row, row + 1))
        return [found[number] for number in range(len(queries))]

    def _results(self, query: Embeddings, ranking: Ranking) -> Iterator[Result]:
        [wanted] = as_weights(Csr.of(query))
        numbers = ranking.numbers.tolist()
        for row, weights in enumerate(self.index.sparse_vectors(numbers)):
            passage = self.index.passage(numbers[row])
            found = spans(self.model, passage.encoded, wanted, weights)
            body = inside(found, passage.body_at, len(passage.encoded))
            start, end = at_words(passage.text, *window(len(passage.text), body))
            yield Result(
                rank=row + 1,
                passage=passage,
                score=float(ranking.scores[row]),
                heads={name: float(scores[row]) for name, scores in ranking.heads.items()},
                terms=shared_terms(self.model, wanted, weights),
                title=inside(found, 0, len(passage.title)),
                snippet=passage.text[start:end],
                matches=inside(body, start, end),
                is_start=start == 0,
                is_end=end >= len(passage.text),
            )
