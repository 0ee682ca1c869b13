"""Hashed n-grams against n-grams of Python strings."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import shingles
from curation.text import UNSPACED, script_of

# Words in scripts with and without spaces, marks, punctuation, odd characters.
text = st.text(st.sampled_from("ab Éß.\n-1漢字かなไทยกि हन\0\ud800\u3000"), max_size=40)


def tokens_of(value: str) -> list[str]:
    """Split as the module says: words, or single characters where a script has no spaces."""
    found, word = [], ""
    for character in value.casefold() + " ":
        is_letter = unicodedata.category(character)[0] in "LNM"
        if is_letter and script_of(character) not in UNSPACED:
            word += character
            continue
        found += [word] if word else []
        word = ""
        found += [character] if is_letter else []
    return found


def ngrams_of(value: str, words: int, characters: int) -> list[tuple[str, ...]]:
    """Return the n-grams of a text in its order."""
    tokens = tokens_of(value)
    scripts = [script_of(t) for t in tokens if len(t) == 1 and script_of(t) in UNSPACED]
    size = words
    if 2 * len(scripts) > len(tokens):
        size = 2 * characters if 2 * scripts.count("Thai") > len(scripts) else characters
    return [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]


@given(texts=st.lists(text, max_size=8), words=st.integers(1, 4), characters=st.integers(1, 4))
@settings(deadline=None, max_examples=150)
def test_equal_hashes_are_equal_ngrams(texts: list[str], words: int, characters: int) -> None:
    """Hashes and n-grams of all texts are in one-to-one correspondence, in place and number."""
    found = shingles.shingle(texts, words, characters)
    wanted = [ngrams_of(t, words, characters) for t in texts]
    assert np.diff(found.offsets).tolist() == [len(ngrams) for ngrams in wanted]
    both = list(zip(found.hashes.tolist(), [n for ngrams in wanted for n in ngrams], strict=True))
    assert len({h for h, _ in both}) == len({n for _, n in both}) == len(set(both))


@given(texts=st.lists(text, min_size=1, max_size=6), limit=st.integers(1, 60))
@settings(deadline=None, max_examples=60)
def test_a_text_has_the_same_hashes_in_any_batch(texts: list[str], limit: int) -> None:
    """Neither the texts beside it nor the size of batches matter."""
    with pytest.MonkeyPatch.context() as patch:
        together = shingles.shingle(texts, 2, 3)
        patch.setattr(shingles, "_BATCH_CHARACTERS", limit)
        split = shingles.shingle(texts, 2, 3)
        one_by_one = [shingles.shingle([t], 2, 3).hashes for t in texts]
        wholes = shingles.whole(texts)
    assert split.hashes.tolist() == together.hashes.tolist()
    assert split.offsets.tolist() == together.offsets.tolist()
    assert np.concatenate(one_by_one).tolist() == together.hashes.tolist()
    assert wholes.tolist() == shingles.whole(texts).tolist()


@given(first=text, second=text)
@settings(deadline=None, max_examples=100)
def test_whole_texts_are_equal_by_their_tokens(first: str, second: str) -> None:
    """One hash for texts of the same tokens, others for others; 0 for none."""
    hashes = shingles.whole([first, second, "", " .\n"])
    assert (hashes[0] == hashes[1]) == (tokens_of(first) == tokens_of(second))
    assert hashes[2:].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The cat, sat.", "the CAT\n sat"),
        ("STRASSE 12", "straße 12"),
        ("日本語、です", "日本語 です"),
        ("a\0b", "a b"),
    ],
    ids=["case-and-marks", "folding", "unspaced", "nul"],
)
def test_what_does_not_matter(first: str, second: str) -> None:
    """Case, punctuation and white space make no difference."""
    one, other = (shingles.shingle([t], 2, 2).hashes.tolist() for t in (first, second))
    assert one == other
    assert one


def test_no_text_and_long_texts() -> None:
    """No texts give no hashes; a text above the batch size is one batch."""
    assert shingles.shingle([], 5, 5).offsets.tolist() == [0]
    assert shingles.whole([]).tolist() == []
    long = " ".join(f"w{i}" for i in range(100_000))
    found = shingles.shingle([long, "too short"], 5, 5)
    assert np.diff(found.offsets).tolist() == [99_996, 0]
    assert len(np.unique(found.hashes)) == 99_996
