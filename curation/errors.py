"""The errors a user can cause and mend; every message says what, the value and the way out.

ThreefoldError
├── ConfigError   the run configuration is wrong
├── InputError    an input is missing, empty or not what its source says it is
├── OutputError   an output cannot be written: the disk is full, or not ours
├── ServiceError  a service the run depends on (an LLM server) refuses or does not answer
├── BudgetError   a cap on money, tokens or requests is reached (exit status 3)
└── TrainingError the loss is no number any more
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ThreefoldError(Exception):
    """Base of all errors that the command line prints in one line instead of a traceback."""

    exit_status = 2
    """What the command ends with."""


class ConfigError(ThreefoldError):
    """A configuration value is unknown, of the wrong type or out of range."""


class InputError(ThreefoldError):
    """An input is missing, empty or unreadable as a whole."""


class OutputError(ThreefoldError):
    """An output cannot be written."""


class ServiceError(ThreefoldError):
    """A service is unreachable or refuses the request for good."""


class BudgetError(ThreefoldError):
    """A run stopped before it passed a cap; what it paid for is kept."""

    exit_status = 3


class TrainingError(ThreefoldError):
    """Training cannot go on."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Return a message for an unknown name: the nearest valid one, then all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {what} {name!r}: {hint}valid: {', '.join(names)}"


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise `ConfigError` unless `low <= value <= high`; `name` is the option to change."""
    if not low <= value <= high:
        raise ConfigError(f"{name} = {value!r} is outside {low:g} .. {high:g}")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message: some libraries add advice not to follow."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
