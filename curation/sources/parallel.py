"""Parallel text → pairs of translations. Here: gettext catalogues (`.po`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from curation.records import Reject
from curation.sources.lines import read_lines
from curation.sources.raw import RawPair

_MARKUP = re.compile(r"%(?:\(\w+\))?[#0\- +]*[\d.*]*[sdifrxX%]|\{[^{}]*\}|<[^<>]+>|&\w+;")
_LANGUAGE = re.compile(r"^Language:[ \t]*(\S+)", re.MULTILINE)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_MIN_LETTERS = 20  # shorter strings are interface labels without context


@dataclass(slots=True)
class _Entry:
    fuzzy: bool = False
    plural: bool = False
    source: str = ""
    target: str = ""


def read_po(stream: IO[bytes], source: str, declared: str | None) -> Iterator[RawPair | Reject]:
    """Yield English–target and target–English pairs of a catalogue.

    Plural forms and fuzzy entries are passed over. The language is `declared` or the
    catalogue's own `Language:` header.
    """
    language = declared
    for entry in _entries(stream):
        if not entry.source:
            header = _LANGUAGE.search(entry.target)
            language = language or (header[1] if header else None)
            continue
        identity = f"{source}:{language}:{entry.source[:60]}"
        reason = _reject_reason(entry, language)
        if reason:
            yield Reject(identity, "extract", reason, source, language or "", entry.target[:200])
            continue
        yield RawPair(entry.source, entry.target, "parallel", "en", language)
        yield RawPair(entry.target, entry.source, "parallel", language, "en")


def _reject_reason(entry: _Entry, language: str | None) -> str:
    if language is None:
        return "no_language"
    if not entry.target:
        return "untranslated"
    if "\ufffd" in entry.source + entry.target:  # a catalogue in another charset than UTF-8
        return "undecodable"
    if entry.fuzzy:
        return "fuzzy"
    if entry.plural:
        return "plural"
    if _MARKUP.search(entry.source) or _MARKUP.search(entry.target):
        return "placeholders"
    if sum(map(str.isalpha, entry.source)) < _MIN_LETTERS:
        return "too_short"
    return "identical_sides" if entry.source == entry.target else ""


def _entries(stream: IO[bytes]) -> Iterator[_Entry]:
    entry, field = _Entry(), ""
    for raw in read_lines(stream):
        line = (raw or b"").decode("utf-8", "replace").strip()
        if not line or line.startswith("#"):
            if field == "msgstr":
                yield entry
                entry, field = _Entry(), ""
            entry.fuzzy |= line.startswith("#,") and "fuzzy" in line
            continue
        keyword, _, text = line.partition(" ")
        if line.startswith('"'):
            text = line
        else:
            if keyword in ("msgctxt", "msgid") and field == "msgstr":
                yield entry
                entry = _Entry()
            field = "msgstr" if keyword.startswith("msgstr") else keyword
            entry.plural |= keyword == "msgid_plural"
        _append(entry, field, _unquote(text))
    if field == "msgstr":
        yield entry


def _append(entry: _Entry, field: str, text: str) -> None:
    if field == "msgid":
        entry.source += text
    elif field == "msgstr":
        entry.target += text


def _unquote(text: str) -> str:
    if len(text) < 2 or not text.startswith('"') or not text.endswith('"'):
        return ""
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1])
