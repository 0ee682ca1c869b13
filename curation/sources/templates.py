"""Templates whose text a reader sees: `wikitext.toml` says which, and how they read."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from curation.sources.wikinames import data

HOLE = "\ue000"
"""Stands where markup without text was taken out; `tidy` closes the gap."""

Rule = Callable[[dict[str, str]], str]

_OPTIONAL = re.compile(r"<([^<>]*)>")
_PLACE = re.compile(r"\{([^{}]+)\}")
_SAYS_ITSELF = re.compile(  # {{XXe siècle}}, {{1re}}
    r"(?:[ivx]{1,6}|\d{1,4})(?:er|re|e|ère|ème)(?: siècle)?(?: av\.? j\.?-c\.?)?", re.IGNORECASE
)
_PARSER_FUNCTIONS = frozenset(
    {"formatnum", "lc", "uc", "lcfirst", "ucfirst", "urlencode", "nowrap"}
)
_RANGE_WORDS = {
    "to": "–",
    "-": "–",
    "–": "–",
    "and": " and ",
    "or": " or ",
    "x": " × ",
    "by": " × ",
}


def render_template(content: str, title: str) -> str:
    """Return the text of a template's content (name and arguments, nested ones rendered before).

    `HOLE` where there is none: unknown templates, and known ones whose arguments are empty.
    """
    name, *arguments = content.split("|")
    name = name.strip().replace("_", " ").casefold()
    if ":" in name and not name.startswith(("#", "http")):  # {{formatnum:1234}}, {{lc:ABC|…}}
        function, _, value = name.partition(":")
        if function.strip() in _PARSER_FUNCTIONS:
            value = content.partition(":")[2].partition("|")[0]
            return value.strip(f" \n{HOLE}") or HOLE
    if name in ("pagename", "fullpagename"):
        return title
    rule = _rules().get(name) or _rule_by_form(name, bool(arguments))
    if rule is not None:
        shown = rule(_values(arguments)).strip(HOLE)
        return shown or HOLE
    return content.strip() if _SAYS_ITSELF.fullmatch(name) and not arguments else HOLE


def _rule_by_form(name: str, has_arguments: bool) -> Rule | None:
    """Return the rule of names that carry a language: {{lang-fr|…}}, {{fr|…}}."""
    if name.startswith(("lang-", "langue-", "lang ", "zitat-")):
        return _first
    return _first if has_arguments and name in _language_names() else None


def _values(arguments: list[str]) -> dict[str, str]:
    """Return the arguments by name; unnamed ones are called "1", "2" and so on."""
    values: dict[str, str] = {}
    position = 0
    for argument in arguments:
        name, equals, value = argument.partition("=")
        name = name.strip()
        if not equals or "<" in name or " " in name:
            position += 1
            values[str(position)] = argument.strip()
        elif name.isascii():
            values[name.casefold()] = value.strip()
    return values


@cache
def _form(form: str) -> Rule:
    """Return the rule that fills `{1}`; `{2|1}` is the first that is there.

    A piece `<…>` goes when all its arguments are empty.
    """

    def fill(values: dict[str, str]) -> str:
        def find(place: re.Match[str]) -> str:
            for name in place[1].split("|"):
                if found := values.get(name, "").strip(HOLE):
                    return found
            return ""

        def keep(piece: re.Match[str]) -> str:
            return piece[1] if any(find(place) for place in _PLACE.finditer(piece[1])) else ""

        shown = form
        for _ in range(2):  # a piece may hold another one
            shown = _OPTIONAL.sub(keep, shown)
        return _PLACE.sub(find, shown)

    return fill


_first = _form("{1|text}")


def _convert(values: dict[str, str]) -> str:
    """Render {{convert|5|to|10|km|mi}} as "5–10 km"."""
    given = [values.get(str(number), "") for number in range(1, 9)]
    shown, rest = given[:1], given[1:]
    while len(rest) >= 2 and rest[0] in _RANGE_WORDS:
        shown += [_RANGE_WORDS[rest[0]], rest[1]]
        rest = rest[2:]
    return "".join(shown) + (f" {rest[0]}" if rest and rest[0] else "")


def _items(values: dict[str, str]) -> str:
    """Render {{bulleted list|a|b}} as lines."""
    return "\n".join(value for name, value in values.items() if name.isdecimal() and value)


@cache
def _language_names() -> frozenset[str]:
    return frozenset(data("wikitext.toml")["templates"]["languages"])


@cache
def _rules() -> dict[str, Rule]:
    tables = data("wikitext.toml")["templates"]
    rules: dict[str, Rule] = {}
    for form, names in (("{1|text|quote|content}", "keep_first"), ("{2|text}", "keep_second")):
        rules.update({name.casefold(): _form(form) for name in tables[names]})
    rules.update({name.casefold(): _form("{2|1}") for name in tables["keep_second_or_first"]})
    rules.update({name.casefold(): _convert for name in tables["convert"]})
    rules.update({name.casefold(): _items for name in tables["lists"]})
    rules.update({name.casefold(): _form(form) for name, form in tables["forms"].items()})
    return rules
