"""One code per language, however a corpus writes it."""

from __future__ import annotations

import re

import pytest

from curation.codes import CODE, _data, are_related, canonical_code

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


def test_the_table_names_each_code_once() -> None:
    """No code means two languages, and no short code is another's long one."""
    import tomllib
    from importlib.resources import files

    text = files("curation").joinpath("codes.toml").read_text(encoding="utf-8")
    lines = [
        line.split()
        for block in tomllib.loads(text)["codes"].values()
        for line in block.split("\n")
        if line
    ]
    listed = [name for line in lines for name in line]
    assert sorted(listed) == sorted(set(listed))
    assert all(len(line[0]) == 2 and len(line) > 1 for line in lines)
    assert len(lines) > 180


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


def test_groups_do_not_overlap() -> None:
    """A code of two groups would make all of both related."""
    import tomllib
    from importlib.resources import files

    text = files("curation").joinpath("codes.toml").read_text(encoding="utf-8")
    listed = [c for group in tomllib.loads(text)["related"]["groups"] for c in group.split()]
    assert len(listed) == len(set(listed)) == len(_data().group)
