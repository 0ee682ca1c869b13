"""Wikitext → sections of plain text, in one linear scan.

Templates, links and tables nest, so they are rendered by a stack machine, innermost first;
what is flat (quotes, headings, lists, tags, entities) is done by regular expressions on what
remains. Text inside the common inline templates is kept (`wikitext.toml` says which argument),
every other template, table, file, category and interlanguage link goes.

Cost is linear in the page: nesting beyond `MAX_DEPTH` is counted, not built, and a tag that
is found never to close is not looked for again.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from curation.text import unescape

MAX_DEPTH = 48

_RAW_TAGS = (
    "ref|math|gallery|timeline|score|syntaxhighlight|source|templatedata|imagemap|chem|hiero|"
    "graph|mapframe|maplink|table|inputbox|categorytree|charinsert|ce|templatestyles"
)
_RAW_OPEN = re.compile(rf"<!--|<(nowiki|{_RAW_TAGS})\b([^<>]*)>", re.IGNORECASE)
_TOKEN = re.compile(r"\{\{|\}\}|\[\[|\]\]|^[ :*]*\{\||^[ ]*\|\}(?!\})", re.MULTILINE)
_CLOSES = {"}}": "{{", "]]": "[[", "|}": "{|"}

# Linear on any text: possessive quantifiers, and a run is entered at its beginning only.
_HEADING = re.compile(r"^(={1,6})(.+?)\1[ \t]*$", re.MULTILINE)
_EXTERNAL = re.compile(
    r"\[(?:(?:https?|ftp|news|irc):)?//[^\s\[\]]*+[ \t]{0,99}+([^\]\n]{0,300}+)\]"
)
_QUOTES = re.compile(r"'{2,}")
_BREAK = re.compile(r"<(?:br|hr|/p|/div|/li|/tr)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_MAGIC_WORD = re.compile(r"__[A-Z]{3,}__")
_VARIANT = re.compile(r"-\{(?:[^{}|]*\|)?([^{}]*)\}-")
_LEFTOVER_LINE = re.compile(r"^[ \t]*(?:\{\||\|\}|\|-|[|!]|-{4,}).*$", re.MULTILINE)
_LIST_MARK = re.compile(r"^[*#:;]+[ \t]*", re.MULTILINE)
_BRACES = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{\||^[ ]*\|\}", re.MULTILINE)
_DISAMBIGUATION = re.compile(r"(?<!\s)\s*+\([^()]*+\)$")
_LANGUAGE_PREFIX = re.compile(r"[a-z]{2,3}(?:-[a-z-]+)?|simple|tokipona")

_OPEN, _CLOSE = "(（[", ")）]"
_EMPTY_BRACKETS = re.compile(
    r"(?<![ \t])[ \t]*+(?:\([\s,;:、،؛·–—-]*\)|（[\s,;:、，；：·–—-]*）|\[\s*\])"
)
_AFTER_OPEN = re.compile(r"([(（])[\s,;:、،，；]+")
_BEFORE_CLOSE = re.compile(r"(?<![\s,;:、،，；])[\s,;:、،，；]++([)）])")
_BEFORE_MARK = re.compile(r"(?<=\S)[ \t]+([,.;:!?])(?=\s|$)", re.MULTILINE)
_SPACES = re.compile(r"[ \t\u00a0\u2009\u202f]+")
_LINE_SPACES = re.compile(r" ?\n ?")
_BLANK_LINES = re.compile(r"\n{3,}")
_DOUBLED = re.compile(r"([\[\]{}'])\1+")


@dataclass(frozen=True, slots=True)
class Site:
    """What a wiki's language changes in its markup: the names of its namespaces (case-folded)."""

    language: str
    dropped_prefixes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Block:
    """The text under one heading; the lead has an empty heading and level 0."""

    heading: str
    level: int
    text: str


@cache
def _data() -> dict[str, Any]:
    resource = files("curation.sources").joinpath("wikitext.toml")
    return tomllib.loads(resource.read_text(encoding="utf-8"))


def site_for(language: str, namespace_names: frozenset[str] = frozenset()) -> Site:
    """Return the site of a language; `namespace_names`: File and Category as a dump names them."""
    aliases = _data()["namespaces"]
    names = {*aliases["en"], *aliases.get(language, []), *namespace_names}
    return Site(language, frozenset(name.casefold() for name in names))


@cache
def apparatus_headings() -> frozenset[str]:
    """Return the case-folded headings of sections that hold references and links, not text."""
    lists = _data()["apparatus_headings"].values()
    return frozenset(heading.casefold() for headings in lists for heading in headings)


def parse(text: str, site: Site, title: str = "") -> list[Block]:
    """Return the sections of a page as plain text, without apparatus and empty ones.

    Raises nothing: damaged markup costs its own text at most.
    """
    flat = _render(_without_raw_tags(text), site, title)
    flat = _BRACES.sub("", _LEFTOVER_LINE.sub("", flat))
    return list(_split(flat))


def _split(flat: str) -> Iterator[Block]:
    """Cut rendered text at its headings; a dropped section takes its subsections along."""
    heading, level, start, dropped = "", 0, 0, 0
    marks = [(m.start(), m.end(), m[2], len(m[1])) for m in _HEADING.finditer(flat)]
    for begin, end, following, depth in [*marks, (len(flat), len(flat), "", 0)]:
        if not dropped and (body := _plain(flat[start:begin])):
            yield Block(heading, level, body)
        heading, level, start = _plain(following), depth, end
        if dropped and depth <= dropped:
            dropped = 0
        if not dropped and heading.casefold() in apparatus_headings():
            dropped = depth


def _without_raw_tags(text: str) -> str:
    """Drop comments and the tags whose content is no prose; `<nowiki>` keeps its content."""
    pieces: list[str] = []
    position = 0
    endless: set[str] = set()
    while match := _RAW_OPEN.search(text, position):
        pieces.append(text[position : match.start()])
        position = match.end()
        name = (match[1] or "!--").lower()
        if name in endless or (match[2] or "").endswith("/"):
            continue
        begin, end = _closing(text, name, position)
        if begin < 0:
            endless.add(name)
            continue
        if name == "nowiki":
            pieces.append(_TOKEN.sub(" ", text[position:begin]))
        position = end
    pieces.append(text[position:])
    return "".join(pieces)


def _closing(text: str, name: str, position: int) -> tuple[int, int]:
    """Return where the closing tag begins and ends; (-1, -1) if there is none."""
    if name == "!--":
        begin = text.find("-->", position)
        return (begin, begin + 3) if begin >= 0 else (-1, -1)
    match = _closing_pattern(name).search(text, position)
    return match.span() if match else (-1, -1)


@cache
def _closing_pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"</{re.escape(name)}\s*>", re.IGNORECASE)


def _render(text: str, site: Site, title: str) -> str:
    """Replace templates, links and tables by what a reader sees of them."""
    stack: list[tuple[str, list[str]]] = [("", [])]
    overflow = 0
    position = 0
    for match in _TOKEN.finditer(text):
        stack[-1][1].append(text[position : match.start()])
        position = match.end()
        token = match[0].strip(" :*")
        if token not in _CLOSES:
            if len(stack) >= MAX_DEPTH:
                overflow += 1
            else:
                stack.append((token, []))
        elif overflow:
            overflow -= 1
        else:
            _close(stack, _CLOSES[token], site, title)
    stack[-1][1].append(text[position:])
    while len(stack) > 1:
        _abandon(stack)
    return "".join(stack[0][1])


def _close(stack: list[tuple[str, list[str]]], opener: str, site: Site, title: str) -> None:
    """Close the innermost `opener`; what was opened inside it and never closed is plain text."""
    if all(kind != opener for kind, _ in stack):
        return
    while stack[-1][0] != opener:
        _abandon(stack)
    _, pieces = stack.pop()
    content = "".join(pieces)
    if opener == "{{":
        stack[-1][1].append(_template(content, title))
    elif opener == "[[":
        stack[-1][1].append(_link(content, site))


def _abandon(stack: list[tuple[str, list[str]]]) -> None:
    kind, pieces = stack.pop()
    stack[-1][1].append(kind if kind == "{|" else "")
    stack[-1][1].extend(pieces)


def _link(content: str, site: Site) -> str:
    """Render `target|label`: the label; nothing for files, categories and other languages."""
    target, bar, label = content.partition("|")
    prefix, colon, _ = target.partition(":")
    prefix = prefix.strip()
    if colon and prefix:
        if prefix.casefold() in site.dropped_prefixes:
            return ""
        if not bar and _LANGUAGE_PREFIX.fullmatch(prefix):
            return ""
    if label:
        return label
    target = target.strip().removeprefix(":")
    return _DISAMBIGUATION.sub("", target) if bar else target


def _template(content: str, title: str) -> str:
    """Render a template by its rule in `wikitext.toml`; nothing if there is none."""
    name, *arguments = content.split("|")
    name = name.strip().replace("_", " ").casefold()
    if not arguments and ":" in name:  # parser functions with one value: {{formatnum:1234}}
        name, _, value = content.strip().partition(":")
        name, arguments = name.strip().casefold(), [value]
    if name in ("pagename", "fullpagename"):
        return title
    rule = _rules().get(name)
    if rule is None and name.startswith(("lang-", "langue-")):
        rule = _first
    return "" if rule is None else rule(_positional(arguments))


def _positional(arguments: list[str]) -> list[str]:
    """Return the unnamed arguments; `1=x` names its position."""
    plain: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        name = name.strip()
        if not equals or "<" in name or " " in name:
            plain.append(argument.strip())
        elif name.isdecimal() and 0 < int(name[:3]) <= 20:
            plain.extend([""] * (int(name[:3]) - len(plain)))
            plain[int(name[:3]) - 1] = value.strip()
    return plain


Rule = Callable[[list[str]], str]
_OPTIONAL = re.compile(r"<([^<>]*\{(\d)\}[^<>]*)>")
_PLACE = re.compile(r"\{(\d)\}")


def _first(arguments: list[str]) -> str:
    return arguments[0] if arguments else ""


def _argument(number: int) -> Rule:
    return lambda arguments: arguments[number - 1] if len(arguments) >= number else ""


def _pattern(form: str) -> Rule:
    """Return the rule that fills `{1}`, `{2}` …; `<…>` goes when its argument is empty."""

    def fill(arguments: list[str]) -> str:
        values = {str(i): value for i, value in enumerate(arguments, 1)}
        shown = form
        for _ in range(2):  # a piece may hold another one
            shown = _OPTIONAL.sub(lambda m: m[1] if values.get(m[2]) else "", shown)
        return _PLACE.sub(lambda m: values.get(m[1], ""), shown)

    return fill


_RANGE_WORDS = {
    "to": "–",
    "-": "–",
    "–": "–",
    "and": " and ",
    "or": " or ",
    "x": " × ",
    "by": " × ",
}


def _convert(arguments: list[str]) -> str:
    """Render {{convert|5|to|10|km|mi}} as "5–10 km"."""
    shown = arguments[:1]
    rest = arguments[1:]
    while len(rest) >= 2 and rest[0] in _RANGE_WORDS:
        shown += [_RANGE_WORDS[rest[0]], rest[1]]
        rest = rest[2:]
    return "".join(shown) + (f" {rest[0]}" if rest else "")


@cache
def _rules() -> dict[str, Rule]:
    data = _data()["templates"]
    rules: dict[str, Rule] = {}
    for number, names in enumerate((data["keep_first"], data["keep_second"]), 1):
        rules.update({name.casefold(): _argument(number) for name in names})
    rules.update({name.casefold(): _convert for name in data["convert"]})
    rules.update({name.casefold(): _pattern(form) for name, form in data["forms"].items()})
    return rules


def _plain(text: str) -> str:
    """Take the flat markup out of rendered text and tidy what removed pieces leave behind."""
    text = _EXTERNAL.sub(r"\1", text)
    text = _QUOTES.sub("", text)
    text = _MAGIC_WORD.sub("", _VARIANT.sub(_simplified, text))
    text = _TAG.sub("", _BREAK.sub("\n", text))
    text = _DOUBLED.sub(r"\1", _LIST_MARK.sub("", unescape(text)))
    return _DOUBLED.sub(r"\1", tidy(text))  # what stood between two marks may just have gone


def _simplified(match: re.Match[str]) -> str:
    """Return the first form of a Chinese conversion group, -{zh-hans:A;zh-hant:B}-."""
    first = match[1].split(";")[0]
    return first.split(":", 1)[-1]


def tidy(text: str) -> str:
    """Remove empty brackets and the punctuation and spaces that removed markup leaves."""
    for _ in range(2):  # "(())" needs a second look
        text = _EMPTY_BRACKETS.sub("", text)
    text = _BEFORE_CLOSE.sub(r"\1", _AFTER_OPEN.sub(r"\1", text))
    text = _BEFORE_MARK.sub(r"\1", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", _LINE_SPACES.sub("\n", text)).strip()
