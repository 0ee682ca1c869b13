"""One code per language, however a corpus writes it."""

from __future__ import annotations

import re

import pytest

from curation.language_codes import CODE, are_related, canonical_code

CODES = {
    "deu_Latn": "de",
    "deu": "de",
    "ger": "de",
    "DE": "de",
    "de-AT": "de",
    "en_GB@oxendict": "en",
    "cmn": "zh",
    "zho_Hans": "zh-Hans",
    "zho_Hant": "zh-Hant",
    "zho-TW": "zh-Hant",
    "zh-CN": "zh-Hans",
    "zh": "zh",
    "arb_Arab": "ar",
    "srp_Latn": "sr-Latn",
    "srp-Cyrl": "sr",
    "aze-Latn": "az",
    "kaz_cyrl": "kk",
    "kas_Deva": "ks-Deva",
    "tgk-Cyrl": "tg",
    "por-BR": "pt",
    "ltg": "ltg",
    "bem": "bem",
    "fil": "tl",
}


@pytest.mark.parametrize(("written", "code"), CODES.items(), ids=CODES)
def test_codes_of_corpora(written: str, code: str) -> None:
    """ISO 639-1 where there is one; scripts only where they say something."""
    assert canonical_code(written) == code
    assert canonical_code(code) == code


@pytest.mark.parametrize("text", ["eng", "zho_Hans", "por-BR", "sr", "aze-Latn"])
def test_what_a_file_name_holds(text: str) -> None:
    """Codes with scripts and regions are whole."""
    assert re.fullmatch(CODE, text)


@pytest.mark.parametrize("text", ["ref-2", "README", "eng-deu", "x", "corpus", "Deu", "deu-eng"])
def test_what_is_no_code(text: str) -> None:
    """Two codes are not one, and words are none."""
    assert re.fullmatch(CODE, text) is None


@pytest.mark.parametrize(
    ("first", "second", "related"),
    [
        ("hr", "sr-Latn", True),
        ("zho_Hant", "yue", True),
        ("nb", "nn", True),
        ("de", "deu", True),
        ("de", "nl", False),
        ("en", "fr", False),
        ("xx", "yy", False),
    ],
)
def test_close_languages(first: str, second: str, related: bool) -> None:
    """Only languages of one group, and a language with itself."""
    assert are_related(first, second) is related
    assert are_related(second, first) is related
