"""Wikitext → sections of plain text, in one linear scan.

Templates, links and tables nest, so they are rendered by a stack machine, innermost first;
what is flat (quotes, headings, lists, tags, entities) is done by regular expressions on what
remains. Text inside the common inline templates is kept (`wikitext.toml` says which argument),
every other template, table, file, category and interlanguage link goes and leaves a `HOLE`.

Cost is linear in the page: nesting beyond `MAX_DEPTH` is counted, not built, and a tag that
is found never to close is not looked for again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from curation.sources.formulas import readable
from curation.sources.templates import HOLE, render_template
from curation.sources.tidy import ITEM, tidy
from curation.sources.wikinames import Site, all_categories, apparatus_headings, fold
from curation.text import unescape

MAX_DEPTH = 48

_RAW_TAGS = (
    "ref|references|math|gallery|timeline|score|syntaxhighlight|source|templatedata|imagemap|"
    "chem|hiero|graph|mapframe|maplink|table|inputbox|categorytree|charinsert|ce|templatestyles"
)
_RAW_OPEN = re.compile(rf"<!--|<(nowiki|{_RAW_TAGS})\b([^<>]*)>", re.IGNORECASE)
_TOKEN = re.compile(
    r"\[\[([^\[\]{}|\n]+)(?:\|([^\[\]{}|\n]*))?\]\]"  # a whole link: nine of ten
    r"|\{\{|\}\}|\[\[|\]\]|^[ :*]*\{\||^[ ]*\|\}(?!\})",
    re.MULTILINE,
)
_CLOSES = {"}}": "{{", "]]": "[[", "|}": "{|"}

# Linear on any text: possessive quantifiers, and a run is entered at its beginning only.
_HEADING = re.compile(r"^(={1,6})(.+?)\1[ \t]*$", re.MULTILINE)
_MARK = "\ue001"  # begins a heading's line while the text is cleaned
_EXTERNAL = re.compile(
    r"\[(?:(?:https?|ftp|news|irc):)?//[^\s\[\]]*+[ \t]{0,99}+([^\]\n]{0,300}+)\]"
)
_QUOTES = re.compile(r"'{2,}")
_BREAK = re.compile(r"<(?:br|hr|/p|/div|/li|/tr)\b[^<>]*>?", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_SWITCH = re.compile(r"__(?=[^\W_])\w{3,40}?__|＿＿\w{2,30}?＿＿")
_VARIANT = re.compile(r"-\{(?:[^{}|]*\|)?([^{}]*)\}-")
_LEFTOVER_LINE = re.compile(
    r"^[ \t\u3000]*(?:(?:\{\||\|\}|\|-|\|).*|!.*(?:!!|\|).*|-{4,}.*)$", re.MULTILINE
)
_NAVIGATION = re.compile(
    r"^[^|\n]{1,60}(?:[ \u00a0]\|[ \u00a0][^|\n]{1,40}){2,}(?:[ \u00a0]\|)?$", re.MULTILINE
)
_HALF_LINK = re.compile(r"\[[^\[\]|\n]{1,80}\|([^\[\]|\n]{1,80})\]")
_LIST_MARK = re.compile(r"^[*#:;][*#:; \t]*|^[ \t\u00a0\u3000]{1,20}\*+[ \t]+", re.MULTILINE)
_LOOSE_HEADING = re.compile(r"^={2,6}[ \t]*|(?<![ \t=])[ \t]*+={2,6}$", re.MULTILINE)
_BRACES = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{\||^[ ]*\|\}", re.MULTILINE)
_DISAMBIGUATION = re.compile(r"(?<!\s)\s*+\([^()]*+\)$")
_LANGUAGE_PREFIX = re.compile(r"[a-z]{2,3}(?:-[a-z-]+)?|simple|tokipona")
_PROJECT_PREFIX = re.compile(
    r"[a-z]{2,3}|simple|wikt|wiktionary|commons|wikisource|wikiquote|wikibooks|wikinews|"
    r"wikiversity|species|wikispecies|meta|mw|incubator"
)
_NOTE = re.compile(r"[ \t\u00a0]?\[(\d{1,3})\]")
_NOTE_EVIDENCE = re.compile(  # what no array index looks like
    r"[.,;:!?।。”»)][ \u00a0]{0,2}\[\d{1,3}\]|\]\[\d{1,3}\]"
    r"|[^\W\d\u0000-\u024f]\[\d{1,3}\]| \[\d{1,3}\][.,।]"
)
_COMMAS = re.compile(r"([,、，])(?: ?\1)+")
_DOUBLED = re.compile(r"([\[\]{}'])\1+")
_ENTITY = re.compile(r"&(?:#[0-9]+|#x[0-9a-fA-F]+|[a-z]{2,8});")


@dataclass(frozen=True, slots=True)
class Block:
    """The text under one heading; the lead has an empty heading and level 0."""

    heading: str
    level: int
    text: str
    listed: int = 0
    """How many characters of the text are items of lists."""


def parse(text: str, site: Site, title: str = "") -> list[Block]:
    """Return the sections of a page as plain text, without apparatus and empty ones.

    Raises nothing: damaged markup costs its own text at most.
    """
    for reserved in (HOLE, ITEM, _MARK):
        if reserved in text:
            text = text.replace(reserved, "")
    flat = _render(_without_raw_tags(text), site, title)
    flat = _BRACES.sub("", _LEFTOVER_LINE.sub("", flat))
    flat = _HEADING.sub(lambda m: f"\n{_MARK}{len(m[1])}{m[2].strip()}\n", flat)
    return list(_split(_plain(flat, site)))


def _split(plain: str) -> Iterator[Block]:
    """Cut cleaned text at its headings; a dropped section takes its subsections along."""
    lead, *sections = plain.split(_MARK)
    if lead.strip():
        yield _block("", 0, lead)
    dropped = 0
    for section in sections:
        heading, _, body = section.partition("\n")
        level, heading = int(heading[0]), heading[1:].strip()
        if dropped and level <= dropped:
            dropped = 0
        if not dropped and heading.rstrip(":").casefold() in apparatus_headings():
            dropped = level
        if not dropped and body.strip():
            yield _block(heading, level, body)


def _block(heading: str, level: int, body: str) -> Block:
    items = [line for line in body.split("\n") if line.startswith(ITEM)] if ITEM in body else []
    text = body.replace(ITEM, "").strip()
    return Block(heading.replace(ITEM, ""), level, text, sum(map(len, items)) - len(items))


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
        pieces.append(_raw_text(name, text, position, begin))
        position = end
    pieces.append(text[position:])
    return "".join(pieces)


def _raw_text(name: str, text: str, begin: int, end: int) -> str:
    """Return what is kept of a raw tag's content."""
    if name == "nowiki":
        return _TOKEN.sub(lambda m: m[2] or m[1] or " ", text[begin:end])
    if name in ("math", "ce", "chem"):
        return readable(text[begin:end]) or HOLE
    return "" if name in ("ref", "!--") else HOLE


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
    top = stack[-1][1]
    overflow = 0
    position = 0
    for match in _TOKEN.finditer(text):
        top.append(text[position : match.start()])
        position = match.end()
        target = match[1]
        if target is not None:
            top.append(_link(target, match[2], site))
            continue
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
        top = stack[-1][1]
    top.append(text[position:])
    while len(stack) > 1:
        _abandon(stack, site)
    return "".join(stack[0][1])


def _close(stack: list[tuple[str, list[str]]], opener: str, site: Site, title: str) -> None:
    """Close the innermost `opener`; what was opened inside it and never closed is plain text."""
    if all(kind != opener for kind, _ in stack):
        return
    while stack[-1][0] != opener:
        _abandon(stack, site)
    _, pieces = stack.pop()
    content = "".join(pieces)
    if opener == "{{":
        stack[-1][1].append(render_template(content, title))
    elif opener == "[[":
        target, bar, label = content.partition("|")
        stack[-1][1].append(_link(target, label if bar else None, site))
    else:
        stack[-1][1].append(HOLE)


def _abandon(stack: list[tuple[str, list[str]]], site: Site) -> None:
    """Take an opener that never closes as text; of a file link its first line goes."""
    kind, pieces = stack.pop()
    if kind == "{|":
        stack[-1][1].append(kind)
    elif kind == "[[" and pieces and _is_dropped(pieces[0], site):
        pieces = [HOLE, *"".join(pieces).partition("\n")[1:]]
    stack[-1][1].extend(pieces)


def _is_dropped(target: str, site: Site) -> bool:
    prefix, colon, _ = target[:200].partition(":")
    return bool(colon) and fold(prefix) in site.dropped_prefixes


def _link(target: str, label: str | None, site: Site) -> str:
    """Render `target|label`: the label; nothing for files, categories and other languages."""
    prefix, colon, name = target.partition(":")
    if colon and (prefix := prefix.strip()):
        if fold(prefix) in site.dropped_prefixes:
            return HOLE
        if label is None and _LANGUAGE_PREFIX.fullmatch(prefix):
            return HOLE
    if label:
        return label
    if label is None:
        return target.strip() if not colon or prefix else _unprefixed(name, site)
    return _DISAMBIGUATION.sub("", target.strip().removeprefix(":"))


def _unprefixed(target: str, site: Site) -> str:
    """Return what [[:Category:X]] and [[:en:X]] name, without the prefix."""
    prefix, colon, name = target.partition(":")
    folded = fold(prefix)
    if colon and _PROJECT_PREFIX.fullmatch(folded):  # [[:de:Kategorie:X]]
        prefix, _, rest = name.lstrip(": ").partition(":")
        return (rest if rest and fold(prefix) in all_categories() else name).strip()
    return (name if colon and folded in site.dropped_prefixes else target).strip()


def _plain(text: str, site: Site) -> str:
    """Take the flat markup out of rendered text and tidy what removed pieces leave behind."""
    text = _QUOTES.sub(_apostrophes, text)
    if "|" in text:
        text = _NAVIGATION.sub("", _HALF_LINK.sub(r"\1", text))
    if "//" in text:
        text = _EXTERNAL.sub(lambda m: m[1] or HOLE, text)
    if "-{" in text:
        text = _VARIANT.sub(_simplified, text)
    if "__" in text or "＿＿" in text:
        text = _SWITCH.sub(lambda m: m[0] if m[0].islower() else "", text)
    if "<" in text:
        text = _TAG.sub("", _BREAK.sub("\n", text))
    text = _without_residue(_unescaped(text), site)
    text = _LIST_MARK.sub(lambda m: "" if m[0][0] == ":" else ITEM, text)
    text = _DOUBLED.sub(r"\1", text)
    return _DOUBLED.sub(r"\1", tidy(text))  # what stood between two marks may just have gone


def _apostrophes(run: re.Match[str]) -> str:
    """Return the apostrophes that are text: of four one, of more than five all beyond."""
    count = len(run[0])
    return "'" if count == 4 else "'" * (count - 5)


def _unescaped(text: str) -> str:
    """Resolve entities, also those that were written as text (&amp;nbsp;)."""
    if "&" not in text:
        return text
    text = unescape(text)
    return unescape(text) if _ENTITY.search(text) else text


def _without_residue(text: str, site: Site) -> str:
    """Drop lines that are no prose, and reference numbers that were pasted as text."""
    text = site.residue.sub("", text)
    if "==" in text:
        text = _LOOSE_HEADING.sub("", text)
    text = _COMMAS.sub(r"\1", text)
    if "[" in text and _NOTE_EVIDENCE.search(text):
        text = _NOTE.sub("", text)
    return text


def _simplified(match: re.Match[str]) -> str:
    """Return the first form of a Chinese conversion group, -{zh-hans:A;zh-hant:B}-."""
    first = match[1].split(";")[0]
    return first.split(":", 1)[-1]
