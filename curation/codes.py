"""One code per language: corpora write `deu_Latn`, `deu`, `ger` or `de` for the same one."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

CODE = r"[a-z]{2,3}(?:[-_](?:[A-Z][a-z]{3}|[A-Z]{2}))*"
"""A code in a file's name: language, then script or region, if any."""


@dataclass(frozen=True, slots=True)
class _Codes:
    shortest: dict[str, str]
    usual_script: dict[str, str]
    """Of languages with several scripts; Chinese has no usual one."""
    chinese_script: dict[str, str]
    """By region."""
    group: dict[str, int]
    """The group of languages that are hard to tell apart."""


@cache
def _data() -> _Codes:
    resource = files("curation").joinpath("codes.toml")
    data = tomllib.loads(resource.read_text(encoding="utf-8"))
    lines = (line.split() for text in data["codes"].values() for line in text.splitlines())
    return _Codes(
        shortest={name: line[0] for line in lines for name in line[1:]},
        usual_script={code: s for s, codes in data["scripts"].items() for code in codes.split()},
        chinese_script={code: s for s, codes in data["regions"].items() for code in codes.split()},
        group={
            code: number
            for number, codes in enumerate(data["related"]["groups"])
            for code in codes.split()
        },
    )


@cache
def canonical_code(code: str) -> str:
    """Return the code as ISO 639-1 where that has the language: `deu_Latn` → `de`.

    A script stays where it is not the usual one (`srp_Latn` → `sr-Latn`, `zho_Hant` → `zh-Hant`);
    a region goes, except that it tells how Chinese is written (`zh-TW` → `zh-Hant`).
    """
    primary, *subtags = re.split(r"[-_@]", code)
    language = _data().shortest.get(primary.lower(), primary.lower())
    for tag in subtags:
        script = tag.title() if len(tag) == 4 and tag.isalpha() else ""
        if language == "zh":
            script = script or _data().chinese_script.get(tag.upper(), "")
        usual = _data().usual_script.get(language, "" if language == "zh" else script)
        if script and script != usual:
            return f"{language}-{script}"
    return language


def are_related(first: str, second: str) -> bool:
    """Tell whether two codes name one language, or two that engines confuse (`hr`, `sr`)."""
    one, other = (canonical_code(code).partition("-")[0] for code in (first, second))
    group = _data().group.get(one)
    return one == other or (group is not None and group == _data().group.get(other))
