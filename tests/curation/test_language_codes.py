"""One code a language, its scripts, its relatives."""

from __future__ import annotations

import pytest

from curation.language_codes import are_related, base_code, fits_script
from curation.language_engines import Cld2, Langid, Profiles


@pytest.mark.parametrize(
    ("language", "base"),
    [
        ("en", "en"),
        ("zh-cn", "zh"),
        ("zh_Hant", "zh"),
        ("PT-BR", "pt"),
        ("nb", "no"),
        ("iw", "he"),
        ("simple", "en"),
        ("fil", "tl"),
        ("eng_Latn", "en"),
        ("arb_Arab", "ar"),
        ("zho_Hans", "zh"),
        ("swh", "sw"),
        ("nno-NO", "nn"),
        ("zh-yue", "yue"),
        ("zh_min_nan", "nan"),
        ("be-x-old", "be"),
        ("als", "als"),
        ("ltg", "ltg"),
        ("", ""),
    ],
)
def test_base_code(language: str, base: str) -> None:
    """Script, region and older codes go."""
    assert base_code(language) == base


@pytest.mark.parametrize(
    ("language", "script", "fits"),
    [
        ("ja", "Hiragana", True),
        ("ja", "Han", True),
        ("zh-Hant", "Han", True),
        ("zh", "Hiragana", False),
        ("en", "Cyrillic", False),
        ("sr", "Latin", True),
        ("sr", "Cyrillic", True),
        ("el", "Latin", False),
        ("simple", "Latin", True),
        ("zz", "Thai", True),
        ("az", "Arabic", True),
        ("az", "Cyrillic", True),
        ("az", "Latin", True),
        ("ku", "Arabic", True),
        ("uz", "Cyrillic", True),
        ("pa", "Arabic", True),
        ("pa", "Gurmukhi", True),
        ("pa", "Devanagari", False),
        ("uk", "Latin", False),
        ("eng_Latn", "Han", False),
        ("en", "", True),
    ],
)
def test_fits_script(language: str, script: str, fits: bool) -> None:
    """A known language fits its scripts; unknown languages and texts without letters fit any."""
    assert fits_script(language, script) is fits


@pytest.mark.parametrize("engine", [Langid, Cld2, Profiles])
def test_every_language_of_an_engine_has_a_script(engine: type[Langid | Cld2 | Profiles]) -> None:
    """None is let through in any script for want of an entry, and none has two codes."""
    for language in engine().languages:
        assert not fits_script(language, "Cuneiform"), language
        assert base_code(language) == language


@pytest.mark.parametrize(
    ("one", "other", "related"),
    [
        ("hr", "sr-Latn", True),
        ("nb", "da", True),
        ("zh-yue", "zh_Hans", True),
        ("en", "en-GB", True),
        ("ru", "uk", False),
        ("en", "de", False),
        ("zz", "yy", False),
        ("zz", "zz", True),
    ],
)
def test_are_related(one: str, other: str, related: bool) -> None:
    """Languages of one group, and each with itself."""
    assert are_related(one, other) is are_related(other, one) is related
