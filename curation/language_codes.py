"""One code for each language, the scripts it is written in, and its close relatives."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

CODE = r"[a-z]{2,3}(?:[-_](?:[A-Z][a-z]{3}|[A-Z]{2}))*"
"""A code in a file's name: language, then script or region, if any."""


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(files("curation").joinpath(name).read_text(encoding="utf-8"))


@cache
def _one_code() -> dict[str, str]:
    tables = _table("language_codes.toml")
    codes: dict[str, str] = dict(tables["wikis"])
    for code, others in tables["codes"].items():
        codes |= dict.fromkeys(others.split(), code)
    return codes


@cache
def known_codes() -> frozenset[str]:
    """Return every code of the table, in lower case: those used here and what they stand for."""
    codes = _one_code()
    return frozenset(code.lower() for pair in codes.items() for code in pair)


@cache
def base_code(language: str) -> str:
    """Return the code without script or region, in the form the engines use."""
    whole = language.replace("_", "-").lower()
    codes = _one_code()
    if whole in codes:
        return codes[whole]
    code = whole.partition("-")[0]
    return codes.get(code, code)


@cache
def _usual_scripts() -> dict[str, str]:
    scripts = _table("language_codes.toml")["scripts"]
    return {code: script for script, codes in scripts.items() for code in codes.split()}


@cache
def _chinese_scripts() -> dict[str, str]:
    regions = _table("language_codes.toml")["regions"]
    return {region: script for script, listed in regions.items() for region in listed.split()}


@cache
def canonical_code(code: str) -> str:
    """Return the code as ISO 639-1 where that has the language: `deu_Latn` → `de`.

    A script stays where it is not the usual one (`srp_Latn` → `sr-Latn`, `zho_Hant` → `zh-Hant`);
    a region goes, except that it tells how Chinese is written (`zh-TW` → `zh-Hant`).
    """
    _, *subtags = re.split(r"[-_@]", code)
    language = base_code(code.partition("@")[0])
    for tag in subtags:
        script = tag.title() if len(tag) == 4 and tag.isalpha() else ""
        if language == "zh":
            script = script or _chinese_scripts().get(tag.upper(), "")
        usual = _usual_scripts().get(language, "" if language == "zh" else script)
        if script and script != usual:
            return f"{language}-{script}"
    return language


@cache
def _scripts() -> dict[str, frozenset[str]]:
    by_language: dict[str, set[str]] = {}
    for script, languages in _table("scripts.toml")["languages"].items():
        for language in languages.split():
            by_language.setdefault(language, set()).add(script)
    return {language: frozenset(scripts) for language, scripts in by_language.items()}


@cache
def fits_script(language: str, script: str) -> bool:
    """Tell whether a language may be written in a script; unknown languages fit any."""
    known = _scripts().get(base_code(language))
    return known is None or not script or script in known


@cache
def _group_of() -> dict[str, str]:
    groups = _table("language_codes.toml")["related"]
    return {language: name for name, members in groups.items() for language in members.split()}


def are_related(one: str, other: str) -> bool:
    """Tell whether two languages are so close that identifiers take one for the other."""
    groups = _group_of()
    first, second = base_code(one), base_code(other)
    return first == second or groups.get(first, first) == groups.get(second, second)
