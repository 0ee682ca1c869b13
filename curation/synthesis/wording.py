"""Phrases that give a question away, found as whole words whatever the script.

A pattern is words as they stand in a text; `a|b_c` is the word a or the two words b c, `^` at its
start and `$` at its end tie it to those of the text, and a `*` stands for any ending. In scripts
without spaces a pattern is found anywhere.

A phrase is no reference where it is a name (in quotes, or capitalised inside the sentence) or
where the words behind it say what is meant: "the author of Utopia", "the article 5".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from curation.text import UNSPACED, dominant_script

_QUOTED = re.compile(
    r"\"[^\"]{1,80}\"|“[^”]{1,80}”|„[^“”]{1,80}[“”]|«[^»]{1,80}»|”[^”]{1,80}”|「[^」]{1,80}」"
    r"|『[^』]{1,80}』|《[^》]{1,80}》|〈[^〉]{1,80}〉"
)
_NUMBER = re.compile(r"\d.*|[IVXLCDM]+|[A-Z]")


class _Separators(dict[int, int | str | None]):
    """Turns all but letters, marks and digits into spaces; joiners and the like go."""

    def __missing__(self, point: int) -> int | str | None:
        category = unicodedata.category(chr(point))
        separator = None if category == "Cf" else " "
        self[point] = point if category[0] in "LMN" else separator
        return self[point]


_SEPARATORS = _Separators()


def words(text: str) -> list[str]:
    """Return the words of a text with their case: runs of letters, marks and digits."""
    return text.translate(_SEPARATORS).split()


def fold(word: str) -> str:
    """Return a word as it is compared: without case, and İ as i."""
    return word.casefold().replace("i\u0307", "i")


def without_quotes(text: str, name: str = "X") -> str:
    """Return a text with `name` for what stands in quotation marks: titles and names."""
    return _QUOTED.sub(f" {name} ", text)


def find(
    text: str,
    patterns: Sequence[str],
    resolved: Sequence[str] | None = (),
    capitalises_nouns: bool = False,
) -> str:
    """Return the first phrase of a text that a pattern matches, "" for none.

    resolved: words behind a phrase, and numbers, that make it a name; None: nothing does.
    """
    if not patterns:
        return ""
    found = words(without_quotes(text))
    line = " ".join(["", *map(fold, found), ""])
    for match in _compiled(tuple(patterns)).finditer(line):
        first = line.count(" ", 0, match.start() + 1) - 1
        end = first + len(match[0].split())
        is_name = not capitalises_nouns and _is_name(found, first, end)
        behind = found[end : end + 1] if resolved is not None else []
        if not is_name and not _is_resolved(behind, resolved or ()):
            return match[0].strip()
    return ""


def starts_with(text: str, patterns: Sequence[str]) -> str:
    """Return the phrase that a text begins with, "" for none."""
    return find(text, [f"^{pattern}" for pattern in patterns], None, capitalises_nouns=True)


def _is_name(found: Sequence[str], first: int, end: int) -> bool:
    inner = found[max(1, first) : end]  # any sentence begins with a capital
    shouted = all(word == word.upper() for word in found)
    return not shouted and any(word[0].isupper() for word in inner)


def _is_resolved(behind: Sequence[str], resolved: Sequence[str]) -> bool:
    return any(fold(word) in resolved or _NUMBER.fullmatch(word) for word in behind)


@cache
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_expression, patterns)))


def _expression(pattern: str) -> str:
    start, end = pattern.startswith("^"), pattern.endswith("$")
    body = " ".join(_choice(word) for word in pattern.strip("^$").split())
    unspaced = dominant_script(pattern) in UNSPACED
    left = "^ " if start else "" if unspaced else "(?<= )"
    right = " $" if end else "" if unspaced else "(?= )"
    return f"(?:{left}{body}{right})"


def _choice(word: str) -> str:
    choices = [
        " ".join(map(re.escape, map(fold, words(choice)))) + (r"\S*" if "*" in choice else "")
        for choice in word.split("|")
    ]
    return f"(?:{'|'.join(choices)})"
