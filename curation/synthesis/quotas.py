"""How many documents of each language and source are asked about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import median
from typing import TypeVar

from curation.errors import ConfigError, check_range
from curation.language_codes import base_code

PAPER = {
    "ar": 1817,
    "de": 1847,
    "en": 10000,
    "es": 2254,
    "fr": 1608,
    "hi": 1618,
    "it": 2151,
    "ja": 2262,
    "ko": 2198,
    "pt": 1845,
    "ru": 1864,
    "th": 1970,
    "zh": 10000,
}
"""Training questions a language has in MLDR (reference: paper, section 2)."""

EVERY = "*"

Counts = Mapping[tuple[str, str], int]
"""(language, source) → documents that may be drawn."""
T = TypeVar("T")


def check_quotas(quotas: Mapping[str, int]) -> None:
    """Raise `ConfigError` for a key that is none of `de`, `de/SOURCE` and `*/SOURCE`."""
    for key, number in quotas.items():
        language, slash, source = key.partition("/")
        if not language or (slash and not source) or (language == EVERY and not slash):
            raise ConfigError(
                f"synthesis.quotas: {key!r} is no key; it takes LANGUAGE, LANGUAGE/SOURCE or "
                "*/SOURCE; for the same number in every language set "
                "synthesis.documents_per_language"
            )
        check_range(f"synthesis.quotas.{key}", number, 0, 1e9)


def source_quota(quotas: Mapping[str, int], language: str, source: str) -> int | None:
    """Return the most documents of a source in a language, None where nothing is said."""
    return quotas.get(f"{language}/{source}", quotas.get(f"{EVERY}/{source}"))


def check_known(quotas: Mapping[str, int], found: Counts) -> None:
    """Raise `ConfigError` for a quota on a language or source of which there is no document."""
    known = {key for pair in found for key in (pair[0], "/".join(pair), f"{EVERY}/{pair[1]}")}
    unknown = sorted(set(quotas) - known)
    if unknown:
        listed = ", ".join(sorted("/".join(pair) for pair in found)) or "none at all"
        raise ConfigError(
            f"synthesis.quotas names {', '.join(map(repr, unknown))}, of which no document fits "
            f"the length band and synthesis.languages; there are {listed}"
        )


def allocate(
    found: Counts, documents: int, per_language: int, quotas: Mapping[str, int]
) -> dict[str, int]:
    """Return how many documents of each language are drawn.

    A language with a quota gets that many, the others `per_language` each or, where that is 0,
    what is left of `documents` in the proportions of `PAPER`; one outside the table weighs its
    median. What a language has too few documents for is shared out among the others.
    """
    rooms = _rooms(found, quotas)
    given = {name: min(room, quotas[name]) for name, room in rooms.items() if name in quotas}
    others = {name: room for name, room in rooms.items() if name not in quotas}
    if per_language:
        return given | {name: min(room, per_language) for name, room in others.items()}
    middle = int(median(PAPER.values()))
    weights = {name: PAPER.get(base_code(name), middle) for name in others}
    return given | fill(max(0, documents - sum(given.values())), weights, others)


def _rooms(found: Counts, quotas: Mapping[str, int]) -> dict[str, int]:
    """Return how many documents of each language may be drawn under the quotas of sources."""
    rooms: Counter[str] = Counter()
    for (language, source), number in found.items():
        most = source_quota(quotas, language, source)
        rooms[language] += number if most is None else min(number, most)
    return dict(sorted(rooms.items()))


def fill(total: int, weights: Mapping[str, int], rooms: Mapping[str, int]) -> dict[str, int]:
    """Share out `total` by weight, to none more than its room; the sum is as near as can be."""
    given = dict.fromkeys(rooms, 0)
    left = {name for name, room in rooms.items() if room}
    while left:
        proposed = apportion(total, {name: weights[name] for name in left})
        full = {name for name in left if proposed[name] >= rooms[name]}
        given |= {name: rooms[name] for name in full} if full else proposed
        total -= sum(rooms[name] for name in full)
        left = left - full if full else set()
    return given


def apportion(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return whole shares of `total` by weight that sum to it (largest remainders)."""
    whole = sum(weights.values())
    shares = {name: total * weight // whole for name, weight in weights.items()}
    rest = total - sum(shares.values())
    by_remainder = sorted(weights, key=lambda name: (-(total * weights[name] % whole), name))
    for name in by_remainder[:rest]:
        shares[name] += 1
    return shares


def draw(
    candidates: Iterable[tuple[int, str, T]], count: int, language: str, quotas: Mapping[str, int]
) -> list[T]:
    """Return the first `count` of (place, source, item) by place, no source above its quota."""
    chosen: list[T] = []
    taken: Counter[str] = Counter()
    for _, source, item in sorted(candidates, key=lambda candidate: candidate[0]):
        most = source_quota(quotas, language, source)
        if len(chosen) < count and (most is None or taken[source] < most):
            taken[source] += 1
            chosen.append(item)
    return chosen
