"""Evaluation sets: queries, documents and judgements, whatever format they are published in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from curation import storage
from curation.draw import rank
from curation.errors import InputError
from curation.splits import SplitConfig
from mining.text_parts import texts_digest
from pipelines.evaluation import questions
from pipelines.evaluation.config import EvaluationSet
from pipelines.evaluation.formats import answers, beir, multilingual
from pipelines.evaluation.formats.files import Content, Judgements
from pipelines.evaluation.languages import benchmark_of, languages_of


@dataclass(frozen=True, slots=True)
class RetrievalSet:
    """Queries, documents and judgements, in a fixed order."""

    name: str
    query_ids: list[str]
    queries: list[str]
    document_ids: list[str]
    documents: list[str]
    judgements: Judgements
    language: str = ""
    """The queries' language."""
    document_language: str = ""
    answers: dict[str, list[str]] = field(default_factory=dict)
    """Of MKQA: what a relevant document contains, for each query; there are no judgements then."""
    corpus: str = ""
    """A digest of the documents' texts: those of sets that share it are encoded once."""
    preset: str = ""

    @property
    def benchmark(self) -> str:
        """What sets of several languages have in common."""
        return benchmark_of(self.name)

    def with_queries(self, kept: list[str]) -> RetrievalSet:
        """Return the set of some of the queries."""
        wanted = set(kept)
        pairs = [(i, t) for i, t in zip(self.query_ids, self.queries, strict=True) if i in wanted]
        return replace(
            self,
            query_ids=[identity for identity, _ in pairs],
            queries=[text for _, text in pairs],
            judgements={q: d for q, d in self.judgements.items() if q in wanted},
            answers={q: a for q, a in self.answers.items() if q in wanted},
        )


def expand(wanted: EvaluationSet) -> list[EvaluationSet]:
    """Return a table for each set that one stands for: each match of its glob, each MKQA language.

    Raises `InputError` where a glob matches nothing.
    """
    if wanted.kind == "questions":
        return [wanted]
    found = [_located(wanted, path) for path in _matches(wanted.path)]
    if wanted.kind == "mkqa" and not wanted.language:
        return [one for each in found for one in _each_language(each)]
    return found


def _matches(path: str) -> list[str]:
    """Return the folders or files that a path or glob names."""
    if not any(letter in path for letter in "*?["):
        return [path]
    found = storage.glob(path)
    if not found:
        raise InputError(f"evaluation.sets: nothing matches path = {path!r}")
    return found


def _located(wanted: EvaluationSet, path: str) -> EvaluationSet:
    """Return the table of one match, with its languages and its name."""
    is_one = path == wanted.path
    folder = path.rstrip("/").rsplit("/", 1)[-1]
    ends = languages_of(folder.partition(".jsonl")[0].removesuffix(".json"))
    language = wanted.language or (ends.query if ends else "")
    documents = wanted.document_language or (ends.document if ends else language)
    corpus = wanted.corpus.replace("{language}", language)
    if corpus and not wanted.document_language:
        other = languages_of(corpus.rstrip("/").rsplit("/", 1)[-1])
        documents = other.document if other else documents
    name = wanted.name if wanted.name and is_one else _named(wanted, folder, language)
    return replace(
        wanted,
        path=path,
        name=name,
        language=language,
        document_language=documents,
        corpus=corpus,
    )


def _named(wanted: EvaluationSet, folder: str, language: str) -> str:
    """Return a match's name: the table's with the language, or the folder's."""
    return f"{wanted.name}-{language or folder}" if wanted.name else folder


def _each_language(wanted: EvaluationSet) -> list[EvaluationSet]:
    path = storage.local_path(wanted.path)
    if not answers.is_published_mkqa(path):
        return [wanted]
    prefix = wanted.name.partition(".jsonl")[0]
    return [
        replace(wanted, language=code, document_language="en", name=f"{prefix}-{code}")
        for code in answers.languages_of_mkqa(path)
    ]


def load_set(wanted: EvaluationSet, out: str, splits: SplitConfig) -> RetrievalSet:
    """Return one set of `expand`; raise `InputError` where a file or all queries are missing."""
    content = _content(wanted, out, splits)
    if wanted.pair_by:
        content.judgements = _paired(content, wanted)
    judged = content.answers or content.judgements
    kept = sorted((q for q in content.queries if q in judged), key=lambda q: rank(q, "query"))
    kept = kept[: wanted.max_queries or None]
    if not kept:
        raise InputError(f"the evaluation set {wanted.label!r} has no judged query")
    wanted_ids = set(kept)
    found = RetrievalSet(
        name=wanted.label,
        query_ids=kept,
        queries=[content.queries[query] for query in kept],
        document_ids=list(content.corpus),
        documents=list(content.corpus.values()),
        judgements={q: d for q, d in content.judgements.items() if q in wanted_ids},
        language=wanted.language,
        document_language=wanted.document_language or wanted.language,
        answers={q: a for q, a in content.answers.items() if q in wanted_ids},
        corpus=texts_digest([*content.corpus.values()]),
        preset=wanted.preset,
    )
    return capped(found, len(kept), wanted.max_documents) if wanted.max_documents else found


def corpus_of(wanted: EvaluationSet) -> str:
    """Return where a set's documents are: sets of one place are evaluated one after the other."""
    if wanted.kind == "questions":
        return f"questions {wanted.max_documents} {wanted.max_queries}"
    return f"{wanted.kind} {wanted.corpus or wanted.path}"


def _content(wanted: EvaluationSet, out: str, splits: SplitConfig) -> Content:
    path, corpus, split = storage.local_path(wanted.path), wanted.corpus, wanted.split
    readers: dict[str, Any] = {
        "questions": lambda: questions.read(wanted, out, splits),
        "beir": lambda: beir.read(path, corpus, split),
        "flagembedding": lambda: beir.read_flagembedding(path, corpus, split),
        "miracl": lambda: multilingual.read_miracl(path, corpus, split),
        "mr-tydi": lambda: multilingual.read_mr_tydi(path, corpus, split),
        "mldr": lambda: multilingual.read_mldr(path, corpus, split),
        "mkqa": lambda: answers.read_mkqa(path, corpus, wanted.language),
        "narrativeqa": lambda: answers.read_narrativeqa(path, split),
    }
    content: Content = readers[wanted.kind]()
    return content


def _paired(content: Content, wanted: EvaluationSet) -> Judgements:
    """Return the judgements with the other corpus's documents in place of the set's own."""
    pattern = re.compile(wanted.pair_by)
    others: dict[str, str] = {}
    for name in content.corpus:
        match = pattern.search(name)
        if match and others.setdefault(match.group(), name) != name:
            raise InputError(
                f"{wanted.corpus}: {name!r} and {others[match.group()]!r} give the same match of "
                f"pair_by = {wanted.pair_by!r}"
            )
    found: Judgements = {}
    for query, judged in content.judgements.items():
        for name, grade in judged.items():
            match = pattern.search(name)
            if not match or match.group() not in others:
                raise InputError(
                    f"{wanted.path}: {name!r} has no document in {wanted.corpus} with the same "
                    f"match of pair_by = {wanted.pair_by!r}"
                )
            found.setdefault(query, {})[others[match.group()]] = grade
    return found


def capped(data: RetrievalSet, queries: int, passages: int) -> RetrievalSet:
    """Return the first queries, their judged documents and, by smallest hash, others."""
    few = data.with_queries(data.query_ids[:queries])
    if len(data.documents) <= passages:
        return few
    needed = {document for judged in few.judgements.values() for document in judged}
    ranked = sorted(
        (name for name in data.document_ids if name not in needed),
        key=lambda name: rank(name, "distractor"),
    )
    wanted = needed.union(ranked[: max(0, passages - len(needed))])
    chosen = [i for i, name in enumerate(data.document_ids) if name in wanted]
    documents = [data.documents[i] for i in chosen]
    return replace(
        few,
        document_ids=[data.document_ids[i] for i in chosen],
        documents=documents,
        corpus=texts_digest(documents),
    )
