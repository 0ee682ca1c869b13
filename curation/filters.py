"""Quality scores of a text, and the decisions taken on them.

Scores are computed once and stored as columns; decisions read a versioned table of thresholds
(`thresholds.toml`, per language), so another cut needs no new pass over the text.
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from curation.errors import ConfigError, unknown_name
from curation.records import QUALITY
from curation.text import UNSPACED, WORD

_TERMINAL = frozenset('.!?…。！？।॥؟።։;:"”»』」)')


@cache
def _kind(character: str) -> str:
    """Return letter, digit, space, mark or symbol."""
    category = unicodedata.category(character)
    if character.isspace():
        return "space"
    return {"L": "letter", "N": "digit", "M": "mark"}.get(category[0], "symbol")


def quality(text: str, script: str) -> dict[str, float]:
    """Return the quality scores of `text` by the names of `records.QUALITY`.

    Shares are of non-space characters, line shares of non-empty lines. In scripts without
    spaces a word is a character (Gopher's rules, made script-aware).
    """
    kinds: Counter[str] = Counter()
    for character, number in Counter(text).items():
        kinds[_kind(character)] += number
    visible = max(1, len(text) - kinds["space"])
    words = kinds["letter"] if script in UNSPACED else len(WORD.findall(text))
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    total = max(1, len(lines))
    return {
        "characters": len(text),
        "words": words,
        "mean_word_length": (kinds["letter"] + kinds["mark"]) / max(1, words),
        "letter_share": (kinds["letter"] + kinds["mark"]) / visible,
        "digit_share": kinds["digit"] / visible,
        "symbol_share": kinds["symbol"] / visible,
        "duplicate_line_share": 1 - len(set(lines)) / total,
        "line_end_share": sum(line[-1] in _TERMINAL for line in lines) / total,
    }


class Thresholds:
    """Bounds on scores by language: `[default]` first, then the language's own table."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], version: str) -> None:
        self._tables = tables
        self.version = version

    @classmethod
    def load(cls, text: str | None = None) -> Thresholds:
        """Read thresholds from TOML text; None reads the table that ships with the package."""
        if text is None:
            text = files("curation").joinpath("thresholds.toml").read_text(encoding="utf-8")
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"the thresholds file is not TOML: {error}") from error
        if "default" not in data or "version" not in data:
            raise ConfigError("a thresholds file needs `version` and a [default] table")
        tables = {name: table for name, table in data.items() if name != "version"}
        for name, table in tables.items():
            _check_table(name, table)
        return cls(tables, str(data["version"]))

    def bounds(self, language: str) -> dict[str, Any]:
        """Return the bounds of a language, keyed `min_words`, `max_digit_share` and so on."""
        return {**self._tables["default"], **self._tables.get(language, {})}

    def reject_reason(self, scores: Mapping[str, float], language: str) -> tuple[str, str] | None:
        """Return (reason, value) of the first bound that the scores break, None if none."""
        for bound, limit in self.bounds(language).items():
            side, _, score = bound.partition("_")
            value = scores[score]
            if side == "min" and value < limit:
                return f"{score}_too_low", f"{value:.4g} < {limit:g}"
            if side == "max" and value > limit:
                return f"{score}_too_high", f"{value:.4g} > {limit:g}"
        return None


def _check_table(name: str, table: Any) -> None:
    """Raise `ConfigError` unless `table` maps min_SCORE and max_SCORE to numbers."""
    if not isinstance(table, dict):
        raise ConfigError(f"thresholds: {name} = {table!r} belongs into a table such as [default]")
    known = [f"{side}_{field.name}" for side in ("min", "max") for field in QUALITY]
    for bound, limit in table.items():
        if bound not in known:
            raise ConfigError(unknown_name(f"threshold in [{name}]", bound, known))
        if isinstance(limit, bool) or not isinstance(limit, int | float):
            raise ConfigError(f"thresholds: [{name}] {bound} = {limit!r} is not a number")
