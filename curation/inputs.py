"""The files of sources that are read from several at once, and the languages their names state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from curation import storage
from curation.config import SourceConfig
from curation.errors import ConfigError, InputError
from curation.language_codes import CODE, canonical_code

_PLACES = ("language", "target_language")
_PLACE = re.compile(r"\{(language|target_language)\}")
_GLOB = re.compile(r"\*\*/|\*|\?|\[[^\]]*\]|[^*?\[]+|\[")
_SILENT = ("nllb", "ccmatrix", "tsv", "moses")
_BEIR_QRELS = ("qrels.tsv", "qrels/train.tsv")  # never those of dev or test


@dataclass(frozen=True, slots=True)
class Input:
    """One unit of reading."""

    path: str
    companions: tuple[tuple[str, ...], ...] = ()
    """Files read along: target; links; or queries and corpus."""
    language: str | None = None
    target_language: str | None = None
    shard: int = 0
    shards: int = 1

    @property
    def files(self) -> list[str]:
        """All files of the unit."""
        return [self.path, *(path for listed in self.companions for path in listed)]


def inputs_of(source: SourceConfig) -> list[Input]:
    """Return the units of a parallel or labelled source; raise `InputError` if there is none."""
    for place in _PLACES:
        if f"{{{place}}}" in source.path and getattr(source, place):
            raise ConfigError(f"curation.sources.{place} is set, and {{{place}}} in `path` too")
    if source.format == "beir":
        return list(_beir_inputs(source))
    units = [_input(source, path, codes) for path, codes in matching_files(source.path)]
    if source.format in _SILENT and not all(u.language and u.target_language for u in units):
        raise ConfigError(
            f"format {source.format!r} does not say its languages: set curation.sources.language "
            "and target_language, or put {language} and {target_language} into `path`"
        )
    return units


def _input(source: SourceConfig, path: str, codes: dict[str, str]) -> Input:
    language, target = (codes.get(place) or getattr(source, place) for place in _PLACES)
    companions = []
    for pattern in (source.target_path, source.links_path, source.queries_path, source.corpus_path):
        if pattern:
            found = storage.expand(_filled(pattern, codes))
            if len(found) > 1 and pattern != source.corpus_path:
                raise ConfigError(f"{pattern!r} must name one file, and names {len(found)}")
            companions.append(tuple(found))
    return Input(path, tuple(companions), _canonical(language), _canonical(target))


def _canonical(code: str | None) -> str | None:
    return canonical_code(code) if code else None


def _filled(pattern: str, codes: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in codes:
            raise ConfigError(f"{pattern!r} has {match[0]}, which `path` has not")
        return codes[match[1]]

    return _PLACE.sub(value, pattern)


def matching_files(pattern: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the files that a pattern names, with the codes that stand in its places."""
    if not _PLACE.search(pattern):
        yield from ((path, {}) for path in storage.expand(pattern))
        return
    wanted = re.compile(_expression(pattern))
    found = False
    for path in storage.expand(_PLACE.sub("*", pattern)):
        if match := wanted.search(path):
            found = True
            yield path, match.groupdict()
    if not found:
        raise InputError(f"no file matches {pattern!r} with a language code in its place")


def _expression(pattern: str) -> str:
    """Return the regular expression of a pattern, from the first folder or name with a place on."""
    first = _PLACE.search(pattern)
    start = pattern.rfind("/", 0, first.start()) + 1 if first else 0
    pieces, seen = ["(?:^|/)"], set()
    for piece in re.split(r"(\{language\}|\{target_language\})", pattern[start:]):
        place = piece[1:-1]
        if place not in _PLACES:
            pieces += map(_glob_expression, _GLOB.findall(piece))
        elif place in seen:
            pieces.append(f"(?P={place})")
        else:
            pieces.append(f"(?P<{place}>{CODE})")
            seen.add(place)
    return "".join(pieces) + "$"


def _glob_expression(piece: str) -> str:
    if piece.startswith("[") and len(piece) > 1:
        return piece.replace("[!", "[^", 1)
    return {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece))


def _beir_inputs(source: SourceConfig) -> Iterator[Input]:
    """Yield a unit per folder: its judgements, with queries and corpus as companions."""
    found = False
    for name in _BEIR_QRELS:
        pattern = storage.join(source.path, name)
        try:
            listed = list(matching_files(pattern))
        except InputError:
            continue
        for path, codes in listed:
            found = True
            folder = path.removesuffix(name).rstrip("/")
            queries = (_first_file(folder, ("queries.jsonl.gz", "queries.jsonl")),)
            corpus = (
                tuple(storage.expand(_filled(source.corpus_path, codes)))
                if source.corpus_path
                else (_first_file(folder, ("corpus.jsonl.gz", "corpus.jsonl")),)
            )
            language = codes.get("language") or source.language
            yield Input(path, (queries, corpus), _canonical(language))
    if not found:
        names = " or ".join(_BEIR_QRELS)
        raise InputError(f"no folder {source.path!r} with {names}; format beir takes folders")


def _first_file(folder: str, names: Sequence[str]) -> str:
    for name in names:
        path = storage.join(folder, name)
        if storage.exists(path):
            return path
    raise InputError(f"{folder} has no {names[0]}; a corpus elsewhere is named by `corpus_path`")
