"""All models on all sets: one model in memory at a time, each corpus encoded once for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from curation import storage
from curation.errors import ConfigError
from curation.splits import SplitConfig
from mining.encode import Report
from pipelines.evaluation import facts, runs
from pipelines.evaluation.config import EvaluationConfig, EvaluationSet
from pipelines.evaluation.evaluate import as_runs, evaluate_runs, held_queries, judgements_of
from pipelines.evaluation.formats.files import Judgements
from pipelines.evaluation.models import Candidate, Retriever, WeightedRetriever
from pipelines.evaluation.results import SetResult
from pipelines.evaluation.sets import RetrievalSet, corpus_of, expand, load_set

Watch = Callable[[str, RetrievalSet], Any]
"""Given a model's name and a set, returns a context manager that gives a `Report`."""


class Evaluation:
    """One evaluation: its sets' results, and the files of its runs."""

    def __init__(
        self, config: EvaluationConfig, out: str, splits: SplitConfig, directory: str
    ) -> None:
        self._config = config
        self._out = out
        self._splits = splits
        self._directory = directory
        self._judged: dict[str, Judgements] = {}
        self.sets = all_sets(config)
        self.results: dict[str, SetResult] = {}
        self.files: list[str] = []
        """Written so far, relative to the directory."""

    def run(self, candidates: Sequence[Candidate], watch: Watch) -> list[SetResult]:
        """Evaluate every model; return the results in the order of the config's sets."""
        for candidate in candidates:
            retriever = candidate.load()
            for wanted in self._by_corpus():
                data = load_set(wanted, self._out, self._splits)
                with watch(candidate.name, data) as report:
                    self._one(candidate.name, retriever, data, report)
        for name, judged in self._judged.items():
            write = partial(runs.write_qrels, judgements=judged)
            self._write(f"qrels/{name}.qrels", write)
        return [self.results[wanted.label] for wanted in self.sets]

    def _by_corpus(self) -> list[EvaluationSet]:
        """Return the sets with those of one corpus next to each other."""
        first: dict[str, int] = {}
        for place, wanted in enumerate(self.sets):
            first.setdefault(corpus_of(wanted), place)
        return sorted(self.sets, key=lambda wanted: first[corpus_of(wanted)])

    def _one(
        self, model: str, retriever: Retriever, data: RetrievalSet, report: Report | None
    ) -> None:
        ranked = retriever.retrieve(data, report)
        held = held_queries(data, self._config)
        found = as_runs(ranked, data, held, self._config.run_depth)
        judged = judgements_of(found, held)
        values = evaluate_runs(found, judged, held)
        result = self._result(data, held)
        result.values[model] = values
        result.facts[model] = {
            mode: {
                "recall": facts.recall_curve(run, judged) if not data.answers else [],
                "lengths": facts.by_length(values[mode], facts.lengths(held)),
            }
            for mode, run in found.items()
        }
        result.examples[model] = facts.disagreements(found, values, judged, held)
        if isinstance(retriever, WeightedRetriever):
            result.weights[model] = asdict(retriever.weights[data.name])
        self._keep(model, found, judged, data.name)

    def _result(self, data: RetrievalSet, held: RetrievalSet) -> SetResult:
        return self.results.setdefault(
            data.name,
            SetResult(
                name=data.name,
                benchmark=data.benchmark,
                language=data.language,
                document_language=data.document_language,
                queries=len(held.query_ids),
                documents=len(data.document_ids),
            ),
        )

    def _keep(self, model: str, found: dict[str, runs.Run], judged: Judgements, name: str) -> None:
        """Write the runs, and remember the judgements: of MKQA every model adds some."""
        for mode, run in found.items():
            write = partial(runs.write_run, run=run, tag=f"{model}-{mode}")
            self._write(f"runs/{name}/{file_name(model)}.{file_name(mode)}.trec", write)
        known = self._judged.setdefault(name, {})
        for query, grades in judged.items():
            known.setdefault(query, {}).update(grades)

    def _write(self, name: str, write: Callable[[str], None]) -> None:
        path = storage.join(self._directory, name)
        if not storage.is_url(path):
            storage.make_dirs(path.rpartition("/")[0])
        write(path)
        self.files.append(name)


def all_sets(config: EvaluationConfig) -> list[EvaluationSet]:
    """Return every set of a config; raise `ConfigError` where two share a name."""
    found = [one for wanted in config.sets for one in expand(wanted)]
    labels = [one.label for one in found]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(
                f"evaluation.sets: two sets are called {label!r}; give one a `name` of its own"
            )
    return found


def file_name(text: str) -> str:
    """Return a model's or mode's name as part of a file's: letters, digits, `.`, `_`, `+`, `-`."""
    return "".join(c if c.isalnum() or c in "._+-" else "-" for c in text)
