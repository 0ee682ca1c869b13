"""How much of a question was copied from its paragraph."""

from __future__ import annotations

from curation.synthesis.wording import fold, words


def longest_shared(question: str, paragraph: str) -> int:
    """Return the length of the longest substring of `question` that `paragraph` contains.

    At each end only a substring longer than the best so far is looked for, so it takes as many
    searches as the question has characters.
    """
    best = 0
    for end in range(1, len(question) + 1):
        if question[end - best - 1 : end] in paragraph:
            best += 1
    return best


def copied_share(question: str, paragraph: str) -> float:
    """Return the length of the longest common substring over the question's (0..1)."""
    folded = one_case(question)
    return longest_shared(folded, one_case(paragraph)) / max(1, len(folded))


def copied_words(question: str, paragraph: str) -> int:
    """Return how many words in a row of the question stand in the paragraph."""
    asked = [fold(word) for word in words(question)]
    text = f" {' '.join(fold(word) for word in words(paragraph))} "
    best = 0
    for end in range(1, len(asked) + 1):
        if f" {' '.join(asked[end - best - 1 : end])} " in text:
            best += 1
    return best


def copied_characters(question: str, paragraph: str) -> int:
    """Return how many characters in a row, spaces and marks aside, stand in the paragraph."""
    return longest_shared(_letters(question), _letters(paragraph))


def one_case(text: str) -> str:
    """Return a text with neither case nor runs of white space."""
    return " ".join(fold(text).split())


def _letters(text: str) -> str:
    return "".join(fold(word) for word in words(text))
