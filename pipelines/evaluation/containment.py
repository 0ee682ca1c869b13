"""MKQA's judgement: a document is relevant where it contains an answer, word for word."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

import regex

from pipelines.evaluation.formats.files import Judgements
from pipelines.evaluation.runs import Run
from pipelines.evaluation.sets import RetrievalSet

# As DPR's evaluation and the reference implementation's cut words: runs of letters, numbers and
# marks, and single signs.
_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]")
DEEPEST = 100  # of the measures


def words(text: str) -> list[str]:
    """Return the words of a text, canonically decomposed (NFD) and in lower case."""
    return [word.lower() for word in _WORD.findall(unicodedata.normalize("NFD", text))]


def _joined(text: str) -> str:
    return f" {' '.join(words(text))} "


def contains(document: str, answers: Iterable[str]) -> bool:
    """Tell whether a document has an answer's words side by side and in order."""
    whole = _joined(document)
    return any(_joined(answer) in whole for answer in answers if words(answer))


def judge(runs: Sequence[Run], data: RetrievalSet, depth: int = DEEPEST) -> Judgements:
    """Return judgements of the best `depth` of any run: 1 with an answer, 0 without."""
    numbers = {name: number for number, name in enumerate(data.document_ids)}
    texts: dict[str, str] = {}
    found: Judgements = {}
    for query in data.query_ids:
        answers = [_joined(a) for a in data.answers[query] if words(a)]
        names = {name for run in runs for name in list(run.get(query, {}))[:depth]}
        for name in sorted(names):
            if name not in texts:
                texts[name] = _joined(data.documents[numbers[name]])
            grade = int(any(answer in texts[name] for answer in answers))
            found.setdefault(query, {})[name] = grade
    return found
