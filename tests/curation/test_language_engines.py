"""The engines behind one face."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.language_codes import fits_script
from curation.language_engines import Cld2, Langid, Profiles, code_in_script
from tests.builders import PARAGRAPH

SORANI = "ئەم شارە لەسەر لێواری دەریا دروست کراوە و خەڵکەکەی زۆربەیان ماسیگرن"


@pytest.fixture(scope="module")
def langid() -> Langid:
    return Langid()


@pytest.fixture(scope="module")
def cld2() -> Cld2:
    return Cld2()


def test_shares_are_best_first_and_sum_to_one(langid: Langid) -> None:
    """Only languages of the script share."""
    shares = langid.shares(PARAGRAPH, "Latin")
    assert next(iter(shares)) == "en"
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert sum(shares.values()) == pytest.approx(1)
    assert all(fits_script(language, "Latin") for language in shares)


@pytest.mark.parametrize("script", ["Cuneiform", "Ogham"])
def test_a_script_of_no_language_has_no_answer(langid: Langid, cld2: Cld2, script: str) -> None:
    """Rather none than one of another script."""
    assert langid.shares(PARAGRAPH, script) == {}
    assert cld2.shares(PARAGRAPH, script) == {}
    assert Profiles().lags(PARAGRAPH, script) == {}


def test_cld2_names_central_kurdish(cld2: Cld2) -> None:
    """Its Kurdish is the one in Arabic letters, and it knows no other."""
    assert max(cld2.shares(SORANI, "Arabic").items(), key=lambda item: item[1])[0] == "ckb"
    assert "ckb" in cld2.languages
    assert "ku" not in cld2.languages


@given(st.text(max_size=80))
@settings(deadline=None, max_examples=150)
def test_cld2_takes_any_text(text: str) -> None:
    """Controls, surrogates and non-characters, which it refuses as invalid, do not reach it."""
    shares = Cld2().shares(text, "Latin")
    assert all(0 < share <= 1 for share in shares.values())
    assert not shares.keys() & {"un", "xx", "tlh"}


def test_profiles_lag_behind_the_best() -> None:
    """The best first, at 0."""
    lags = Profiles().lags(PARAGRAPH, "Latin")
    assert list(lags.values()) == sorted(lags.values(), reverse=True)
    assert next(iter(lags.items())) == ("en", 0)


@pytest.mark.parametrize(
    ("label", "script", "code"),
    [("ku", "Arabic", "ckb"), ("ku", "Latin", "ku"), ("iw", "Hebrew", "he"), ("jw", "Latin", "jv")],
)
def test_code_in_script(label: str, script: str, code: str) -> None:
    """Old labels, and Kurdish by its script."""
    assert code_in_script(label, script) == code
