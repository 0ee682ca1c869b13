"""The decisions taken on stored scores: which documents a run keeps, and why not the others.

A pure function of a few columns and a versioned table of bounds (`thresholds.toml`): another
table decides anew without reading any text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation import storage
from curation.config import CurationConfig
from curation.errors import ConfigError, unknown_name
from curation.language_codes import base_code, fits_script
from curation.records import QUALITY

SCORES = tuple(field.name for field in QUALITY)
COLUMNS = ("language", "declared_language", "language_score", "script", "quality")
_BOUNDS = tuple(f"{side}_{score}" for score in SCORES for side in ("min", "max"))

Matrix = npt.NDArray[np.float32]


class Thresholds:
    """Bounds on scores: `[default]`, then the `[script.NAME]` of the text, then its language's."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], version: str) -> None:
        self._default = tables["default"]
        self._languages = {n: t for n, t in tables.items() if n not in ("default", "script")}
        self._scripts = _by_script(tables.get("script", {}))
        self._rows = cache(self._row)
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
        _check_tables(tables)
        return cls(tables, str(data["version"]))

    def bounds(self, language: str, script: str = "") -> dict[str, float]:
        """Return the bounds of a language's texts in a script, keyed `min_words` and so on."""
        exact = self._languages.get(language, {})
        return {
            **self._default,
            **self._scripts.get(script, {}),
            **self._languages.get(base_code(language), exact),
            **exact,
        }

    def _row(self, language: str, script: str) -> Matrix:
        bounds = self.bounds(language, script)
        sides = [("min", -np.inf), ("max", np.inf)]
        return np.array(
            [[bounds.get(f"{side}_{score}", open_) for score in SCORES] for side, open_ in sides],
            np.float32,
        )

    def broken(self, scores: Matrix, groups: Sequence[tuple[str, str]]) -> npt.NDArray[np.int64]:
        """Return for each row of `scores` the first bound it breaks, an index of `_BOUNDS`, or -1.

        `scores` has a column for each of `SCORES`; `groups` is (language, script) of each row.
        """
        numbers: dict[tuple[str, str], int] = {}
        rows = np.array([numbers.setdefault(g, len(numbers)) for g in groups], np.int64)
        if not numbers:
            return rows
        limits = np.stack([self._rows(*group) for group in numbers])[rows]
        breaks = np.stack([scores < limits[:, 0], scores > limits[:, 1]], axis=2)
        flat = breaks.reshape(len(rows), -1)
        return np.where(flat.any(axis=1), flat.argmax(axis=1), -1)

    def explain(self, bound: int, score: float, group: tuple[str, str]) -> tuple[str, str]:
        """Return (reason, value) of a broken bound."""
        name, is_max = SCORES[bound // 2], bound % 2
        limit = self._rows(*group)[is_max, bound // 2]
        word, sign = ("high", ">") if is_max else ("low", "<")
        return f"{name}_too_{word}", f"{score:.4g} {sign} {limit:g}"


def _by_script(classes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return bounds by script: those of a class of `scripts`, then those of the script alone."""
    found: dict[str, dict[str, Any]] = {}
    for name, table in sorted(classes.items(), key=lambda item: "scripts" not in item[1]):
        bounds = {bound: limit for bound, limit in table.items() if bound != "scripts"}
        for script in table.get("scripts", name).split():
            found.setdefault(script, {}).update(bounds)
    return found


def _check_tables(tables: Mapping[str, Any]) -> None:
    for name, table in tables.items():
        if name != "script":
            _check_table(name, table)
            continue
        if not isinstance(table, dict):
            raise ConfigError("thresholds: script is no table; write [script.Thai]")
        for script, bounds in table.items():
            if isinstance(bounds, dict) and not isinstance(bounds.get("scripts", ""), str):
                raise ConfigError(f"thresholds: [script.{script}] scripts is no line of names")
            rest = bounds
            if isinstance(bounds, dict):
                rest = {bound: limit for bound, limit in bounds.items() if bound != "scripts"}
            _check_table(f"script.{script}", rest)


def _check_table(name: str, table: Any) -> None:
    """Raise `ConfigError` unless `table` maps min_SCORE and max_SCORE to numbers."""
    if not isinstance(table, dict):
        raise ConfigError(f"thresholds: {name} = {table!r} belongs into a table such as [default]")
    for bound, limit in table.items():
        if bound not in _BOUNDS:
            raise ConfigError(unknown_name(f"threshold in [{name}]", bound, _BOUNDS))
        if isinstance(limit, bool) or not isinstance(limit, int | float):
            raise ConfigError(f"thresholds: [{name}] {bound} = {limit!r} is not a number")


def load_thresholds(path: str) -> Thresholds:
    """Read a thresholds file; the package's own for an empty path."""
    if not path:
        return Thresholds.load()
    with storage.open_read(path) as handle:
        return Thresholds.load(handle.read().decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Decisions:
    """One a document: "" for one to keep, else the reason, and the value that decided."""

    reasons: npt.NDArray[np.object_]
    values: npt.NDArray[np.object_]

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """Which documents to keep."""
        return np.array(self.reasons == "", np.bool_)


class Decider:
    """Decides on documents by the columns `COLUMNS`; build it once per process."""

    def __init__(self, config: CurationConfig) -> None:
        self._thresholds = load_thresholds(config.thresholds)
        self._least_score = np.float32(config.min_language_score)
        self._fits = cache(fits_script)

    def decide(self, table: pa.Table) -> Decisions:
        """Return the decisions on the rows: language first, then the first bound that is broken."""
        scores = _matrix(table)
        languages, scripts = table["language"].to_pylist(), table["script"].to_pylist()
        groups = list(zip(languages, scripts, strict=True))
        reasons = np.full(table.num_rows, "", object)
        values = np.full(table.num_rows, "", object)
        bounds = self._thresholds.broken(scores, groups)
        for row in np.flatnonzero(bounds >= 0).tolist():
            bound = int(bounds[row])
            score = float(scores[row, bound // 2])
            reasons[row], values[row] = self._thresholds.explain(bound, score, groups[row])
        self._decide_languages(table, groups, reasons, values)
        return Decisions(reasons, values)

    def _decide_languages(
        self,
        table: pa.Table,
        groups: Sequence[tuple[str, str]],
        reasons: npt.NDArray[np.object_],
        values: npt.NDArray[np.object_],
    ) -> None:
        sure = table["language_score"].to_numpy() >= self._least_score
        shown = table["language_score"].to_pylist()
        for row, declared in enumerate(table["declared_language"].to_pylist()):
            language, script = groups[row]
            if language != declared and not sure[row]:  # not declared, or overruled
                reasons[row], values[row] = "language_unsure", f"{language} {shown[row]:.2f}"
            elif not self._fits(language, script):
                reasons[row], values[row] = "wrong_script", f"{language} in {script}"


def _matrix(table: pa.Table) -> Matrix:
    """Return the scores of a table as rows; a score that an older file lacks is 0."""
    quality = table["quality"].combine_chunks()
    if not table.num_rows:
        return np.zeros((0, len(SCORES)), np.float32)
    columns = [quality.field(name).to_numpy(zero_copy_only=False) for name in SCORES]
    return np.nan_to_num(np.stack(columns, axis=1).astype(np.float32))
