"""Repair of text that was decoded in the wrong encoding ("Ã©" for "é")."""

from __future__ import annotations

from curation.cleanup import FOLLOWS, LEADS_ONE, LEADS_TWO, Characters


def is_suspect(characters: Characters) -> bool:
    """Tell whether a text has a sequence of characters that wrong decoding of UTF-8 leaves."""
    return characters.has_sequence(LEADS_ONE, FOLLOWS) or characters.has_sequence(
        LEADS_TWO, FOLLOWS, FOLLOWS
    )


def repaired(text: str) -> str:
    """Return the text with each line decoded anew that ftfy's heuristic holds to be mojibake.

    A line is the unit, so that one in the wrong encoding among clean ones is found.
    """
    return "\n".join(map(_repaired_line, text.split("\n")))


def _repaired_line(line: str) -> str:
    if line.isascii() or not is_suspect(Characters(line)):
        return line
    import ftfy
    from ftfy.badness import is_bad

    return ftfy.fix_encoding(line) if is_bad(line) else line
