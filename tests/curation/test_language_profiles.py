"""Rank-ordered n-grams: the keys, the weights, the languages."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.language_profiles import (
    RANKS,
    key_of,
    languages,
    ngram_keys,
    plain,
    script_profiles,
)
from tests.builders import PARAGRAPH


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The River, 1802!", " the river "),
        ("l'été d’or", " l'été d’or "),
        ("हिन्दी में।", " हिन्दी में "),
        ("「灯台」は", " 灯台 は "),
        ("12 — 34", "  "),
        ("", "  "),
    ],
)
def test_plain(text: str, expected: str) -> None:
    """Words in lower case between single spaces; apostrophes and marks belong to words."""
    assert plain(text) == expected


def test_ngram_keys_are_all_ngrams() -> None:
    """Every run of one to four characters, as often as it occurs."""
    words = plain("Ein Bein")
    ngrams = [words[i : i + n] for n in range(1, 5) for i in range(len(words) - n + 1)]
    assert sorted(ngram_keys("Ein Bein").tolist()) == sorted(map(key_of, ngrams))


@given(st.text(max_size=50))
@settings(deadline=None, max_examples=80)
def test_any_text_has_finite_scores(text: str) -> None:
    """Nothing raises; a mean of weights lies between 0 and the largest."""
    profiles = script_profiles("Latin")
    assert profiles is not None
    scores = profiles.scores(text)
    assert scores.shape == (len(profiles.languages),)
    assert (scores >= 0).all()
    assert scores.max(initial=0) <= math.log((RANKS + 30) / 30)


def test_scores_are_means_of_the_weights_by_rank() -> None:
    """The sparse sum is the plain one: log((500 + 30) / (rank + 30)) over all n-grams."""
    profiles = script_profiles("Tibetan")
    assert profiles is not None
    text = "བོད་ཡིག རྫོང་ཁ"
    expected = np.zeros(len(profiles.languages))
    for key in ngram_keys(text):
        row = np.searchsorted(profiles.keys, key)
        if row < len(profiles.keys) and profiles.keys[row] == key:
            entries = slice(profiles.starts[row], profiles.starts[row + 1])
            expected[profiles.columns[entries]] += profiles.weights[entries]
    assert np.allclose(profiles.scores(text), expected / len(ngram_keys(text)))


def test_each_profile_has_its_ranks_once() -> None:
    """The weights of a language are those of the ranks 0 to its last, each once."""
    profiles = script_profiles("Cyrillic")
    assert profiles is not None
    for column in range(len(profiles.languages)):
        weights = np.sort(profiles.weights[profiles.columns == column])[::-1]
        ranks = np.arange(len(weights))
        assert np.allclose(weights, np.log((RANKS + 30) / (ranks + 30)))
        assert 300 < len(weights) <= RANKS


PROSE = {
    "de": "Der Leuchtturm wurde am Ende des neunzehnten Jahrhunderts gebaut und weist den Schiffen "
    "bis heute den Weg in den Hafen.",
    "pl": "Latarnia morska została zbudowana pod koniec dziewiętnastego wieku i do dziś wskazuje "
    "statkom drogę do portu.",
    "fi": "Majakka rakennettiin yhdeksännentoista vuosisadan lopulla, ja se näyttää laivoille "
    "vielä tänäänkin tien satamaan.",
    "en": PARAGRAPH,
}


@pytest.mark.parametrize("language", PROSE)
def test_prose_fits_its_own_profile(language: str) -> None:
    """The profile alone names common languages."""
    profiles = script_profiles("Latin")
    assert profiles is not None
    assert profiles.languages[int(profiles.scores(PROSE[language]).argmax())] == language


def test_languages_of_the_profiles() -> None:
    """Many, and some that no engine knows; a script without any has no profiles."""
    assert len(languages()) > 350
    assert {"bem", "ee", "ty", "fon", "nv"} <= languages()
    assert script_profiles("Cuneiform") is None
    assert script_profiles("") is None
