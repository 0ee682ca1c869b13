"""`python -m pipelines search`: an index and a query → passages, and why they matched."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from curation import storage
from curation.errors import ConfigError, InputError
from pipelines.terminal import printable, say

if TYPE_CHECKING:
    from mining.explain import Span
    from pipelines.searching import Answer, Result, Searcher

_TERMS = 6  # shared tokens that are printed
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if bool(arguments.query) == bool(arguments.queries):
        raise ConfigError("search takes a query, or --queries FILE")
    asked = list(_asked(arguments))
    from pipelines.searching import Question

    searcher = open_searcher(arguments)
    questions = [
        Question(
            query=query,
            mode=arguments.mode or searcher.default_mode,
            language=language,
            top=arguments.top,
        )
        for query, language in asked
    ]
    for answer in searcher.ask_all(questions):
        if arguments.json:
            say(json.dumps(answer.as_json(), ensure_ascii=False))
        else:
            _print(answer)
    return 0


def open_searcher(arguments: argparse.Namespace) -> Searcher:
    """Return the searcher over the index that the arguments name."""
    from mining.hybrid import Depths, HybridIndex
    from pipelines.search_index import model_of
    from pipelines.searching import Searcher

    depths = Depths(
        rerank=arguments.rerank_depth,
        union=arguments.union_depth,
        weights=tuple(arguments.weights),
    )
    index = HybridIndex(storage.local_path(arguments.index))
    return Searcher(index, model_of(index, arguments.model), depths)


def _asked(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield queries and the languages to look in."""
    if arguments.query:
        yield arguments.query, arguments.language
        return
    for number, line in enumerate(_lines(arguments.queries), 1):
        row: Any = {"query": line}
        if line.startswith("{"):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{arguments.queries}:{number} is no JSON: {error}") from error
        query = row.get("query", row.get("text"))
        if not isinstance(query, str):
            raise InputError(f"{arguments.queries}:{number} has no `query`")
        yield query, row.get("language") or arguments.language


def _lines(path: str) -> list[str]:
    if path == "-":
        data = sys.stdin.buffer.read()
    else:
        [file] = storage.expand(path)
        with storage.open_read(file) as handle:
            data = handle.read()
    return [line.strip() for line in data.decode("utf-8").splitlines() if line.strip()]


def _print(answer: Answer) -> None:
    question = answer.question
    count = len(answer.results)
    say(f"{question.query}  ({question.mode}: {count} in {answer.milliseconds:.0f} ms)")
    for result in answer.results:
        _print_result(result)
    say("")


def _print_result(result: Result) -> None:
    passage = result.passage
    heads = "  ".join(f"{name} {score:.3f}" for name, score in result.heads.items())
    language = f" [{passage.language}]" if passage.language else ""
    say(f"{result.rank:>3}. {result.score:.4f}  {passage.id}{language}  ({heads})")
    if passage.title:
        _write(highlighted(passage.title, result.title))
    before, after = "" if result.is_start else "… ", "" if result.is_end else " …"
    _write(f"{before}{highlighted(result.snippet, result.matches)}{after}")
    terms = ", ".join(f"{term.text} {term.score:.3f}" for term in result.terms[:_TERMS])
    say(f"     shared: {terms or 'no token'}")


def _write(line: str) -> None:
    """Print a line that is printable already but for the marks around its matches."""
    sys.stdout.write(f"     {line}\n")
    sys.stdout.flush()


def highlighted(text: str, found: Sequence[Span]) -> str:
    """Return text on one line with its matches in bold on a terminal, else in [brackets]."""
    before, after = (_BOLD, _PLAIN) if sys.stdout.isatty() else ("[", "]")
    pieces, done = [], 0
    for span in found:
        matched = printable(text[span.start : span.end])
        pieces += [printable(text[done : span.start]), before, matched, after]
        done = span.end
    return "".join([*pieces, printable(text[done:])]).replace("\n", " ")
