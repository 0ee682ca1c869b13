"""Unicode clean-up and the counts of letters."""

from __future__ import annotations

import re
import tarfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import text
from curation.cleanup import Characters
from curation.mojibake import repaired


def misread(written: str, code_page: str) -> str:
    """Return text as it looks when its UTF-8 is decoded in another code page."""
    return written.encode().decode(code_page)


NORMALISED = {
    "composed": ("e\u0301", "é"),
    "hangul": ("\u1100\u1161", "가"),
    "compatibility forms stay": ("ﬁ ² Ａ", "ﬁ ² Ａ"),
    "windows line ends": ("a\r\nb\rc", "a\nb\nc"),
    "line separator": ("a\u2028b", "a\nb"),
    "control characters": ("a\x00b\x07\x1b[0m\x7f\x81c", "ab[0mc"),
    "zero width and soft hyphen": ("a\u200bb\u2060c\u00add\ufeffe", "abcde"),
    "joiners stay": ("می\u200cخواهم क\u094d\u200dष", "می\u200cخواهم क\u094d\u200dष"),
    "windows controls": ("it\x92s \x93so\x94", "it’s “so”"),
    "form feed and line tabulation": ("a\x0cb\x0bc", "a\nb\nc"),
    "paragraph separator": ("a\u2029b", "a\nb"),
    "direction marks": ("\u200eabc\u200f \u061cd", "abc d"),
    "non-characters": ("a\ufdd0b\uffffc\U0001fffed\U0010ffff", "abcd"),
    "tags": ("a\U000e0041\U000e007fb", "ab"),
    "fillers": ("가\u3164나", "가나"),
    "joiners elsewhere go": ("ab\u200dc \u200cd е\u200dж 漢\u200c字", "abc d еж 漢字"),
    "joiners at a word's end": ("ल\u094d\u200d ത\u0d4d\u200c", "ल\u094d\u200d ത\u0d4d\u200c"),
    "one joiner is enough": ("می\u200c\u200cخواهم", "می\u200cخواهم"),
    "emoji keep their joiner": ("👩\u200d🚀 ❤\ufe0f\u200d🔥", "👩\u200d🚀 ❤\ufe0f\u200d🔥"),
    "arabic forms": ("\ufefb \ufee3\ufeae\ufea3\ufe92\ufe8e", "لا مرحبا"),
    "arabic phrase": ("\ufdfa", "\ufdfa"),
    "hangul with a final": ("\u1112\u1161\u11ab\u1100\u1173\u11af", "한글"),
    "marks in order": ("a\u0301\u0323 b", "ạ\u0301 b"),
    "composition exclusions": ("\u0958", "\u0915\u093c"),
    "a decomposed word among others": (
        "naïve cafe\u0301 ici\nnai\u0308ve",
        "naïve café ici\nnaïve",
    ),
    "many kinds at once": ("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0ea", "a"),
    "mojibake": (misread("Größe", "latin-1"), "Größe"),
    "windows mojibake": (misread("it’s a café", "cp1252"), "it’s a café"),
    "cyrillic mojibake": (misread("Привет, как дела?", "cp1251"), "Привет, как дела?"),
    "mojibake in one line": (f"Größe\n{misread('Größe – Weg', 'latin-1')}", "Größe\nGröße – Weg"),
    "twice": (misread(misread("Größe", "latin-1"), "latin-1"), "Größe"),
    "mojibake parted": ("cafÃ\u200b© olÃ\u200b©", "café olé"),
    "not mojibake": ("SÃO PAULO «À» ÂGE Ã", "SÃO PAULO «À» ÂGE Ã"),
    "bidi overrides": ("\u202eabc\u202c \u2066d\u2069", "abc d"),
    "lone surrogates": ("a\ud800b\udfff", "a\ufffdb\ufffd"),
    "spaces": (" a \t\u00a0\u3000 b\u2009c ", "a b c"),
    "around newlines": ("a \n b\t\n\tc", "a\nb\nc"),
    "many newlines": ("a\n\n \n\nb", "a\n\nb"),
    "a character between letter and accent": ("e\u200b\u0301", "é"),
    "only spaces": (" \n\u3000\t", ""),
    "empty": ("", ""),
}


@pytest.mark.parametrize(("raw", "expected"), NORMALISED.values(), ids=NORMALISED)
def test_normalise(raw: str, expected: str) -> None:
    """NFC, no invisible characters but joiners, single spaces, at most one empty line."""
    assert text.normalise(raw) == expected


ANY_TEXT = st.text(
    st.characters()
    | st.sampled_from("\u200b\u200d\u0301\u0323\ufeff\r\n \t\u00a0\x00\x9f\u1161\u1100\u202e\u2029")
    | st.sampled_from("Ã©Â¶â€™\x80ÐÑ\x93ßРС‚\ufefb\ufee3\u200c\u094d")
)
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\xa0\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\ufb50-\ufd3d\ufe70-\ufefc\ud800-\udfff]"
)


@given(ANY_TEXT)
@settings(deadline=None, max_examples=100)
def test_normalising_twice_changes_nothing(raw: str) -> None:
    """The result is a fixed point, NFC, encodable and without runs of white space."""
    once = text.normalise(raw)
    assert text.normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once.encode().decode() == once
    assert not any(run in once for run in ("  ", "\n\n\n", " \n", "\n "))
    assert not FORBIDDEN.search(once)


@given(st.text(st.characters(max_codepoint=0x10FFFF, exclude_categories=["Cs"]), max_size=30))
@settings(deadline=None, max_examples=200)
def test_words_are_composed_as_a_whole_text_is(raw: str) -> None:
    """NFC by the word is NFC of all, where nothing else is to be done."""
    found = Characters(raw)
    assert text._composed(found) == unicodedata.normalize("NFC", raw)


def test_clean_text_is_not_repaired(real_data: Path) -> None:
    """The first 60 kB of each of NTREX's translations: not one line is taken for mojibake."""
    with tarfile.open(real_data / "parallel" / "NTREX-128.tar.xz") as archive:
        members = [member for member in archive if "newstest2019-" in member.name]
        starts = [archive.extractfile(member).read(60_000) for member in members]  # type: ignore[union-attr]
    texts = [start.decode("utf-8", "ignore") for start in starts]
    assert len(texts) == 129
    for translation in texts:
        assert repaired(translation) == translation


def test_misread_text_is_repaired_in_any_language(real_data: Path) -> None:
    """Lines read as Latin-1 come back, whatever their language."""
    right = wrong = 0
    with tarfile.open(real_data / "parallel" / "NTREX-128.tar.xz") as archive:
        for member in archive:
            if "newstest2019-" not in member.name:
                continue
            lines = archive.extractfile(member).read().decode().splitlines()[:5]  # type: ignore[union-attr]
            for line in filter(lambda line: not line.isascii(), lines):
                same = text.normalise(misread(line, "latin-1")) == text.normalise(line)
                right, wrong = right + same, wrong + (not same)
    assert right > 400
    assert wrong < 0.05 * right


@given(ANY_TEXT, ANY_TEXT)
@settings(deadline=None, max_examples=100)
def test_lines_are_normalised_each_for_itself(first: str, second: str) -> None:
    """A newline separates: normalising the lines and joining them is normalising the text."""
    joined = "\n".join(filter(None, map(text.normalise, (first, second))))
    assert text.normalise(joined) == joined


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (" A \n tale\u2029of\ttwo ", "A tale of two"),
        ("\n\n", ""),
        ("Ma\u00adri\u200bne", "Marine"),
        ("a\r\n\r\n\r\nb", "a b"),
    ],
)
def test_one_line(raw: str, expected: str) -> None:
    """Titles and queries have no line ends and no double spaces."""
    assert text.one_line(raw) == expected


@given(ANY_TEXT)
@settings(deadline=None, max_examples=100)
def test_one_line_is_one_line(raw: str) -> None:
    """Whatever comes in, the words come out, separated by single spaces."""
    line = text.one_line(raw)
    assert text.one_line(line) == line
    assert line.split(" ") == (line.split() or [""])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("&amp;&lt;&eacute;&#233;&#xe9;", "&<ééé"),
        ("&#" + "9" * 5000 + "; a", "\ufffd a"),
        ("&#123456789", "\ufffd"),
        ("&#x" + "f" * 5000 + ";", "\ufffd"),
        ("&xyz; & a", "&xyz; & a"),
    ],
    ids=["known", "endless", "without end", "hexadecimal", "unknown"],
)
def test_unescape(raw: str, expected: str) -> None:
    """Entities resolve; a number that is no character is U+FFFD, never an error."""
    assert text.unescape(raw) == expected


SCRIPTS = {
    "a": "Latin", "é": "Latin", "ж": "Cyrillic", "α": "Greek", "א": "Hebrew", "ع": "Arabic",
    "ह": "Devanagari", "ক": "Bengali", "ก": "Thai", "漢": "Han", "ひ": "Hiragana", "カ": "Katakana",
    "ー": "Katakana", "가": "Hangul", "ა": "Georgian", "አ": "Ethiopic", "ខ": "Khmer",
}  # fmt: skip


@pytest.mark.parametrize(("character", "script"), SCRIPTS.items())
def test_script_of_a_letter(character: str, script: str) -> None:
    """The name that scripts.toml and the filters use."""
    assert text.script_of(character) == script


def test_an_unnamed_character_has_no_script() -> None:
    """Private and unassigned characters are of no script."""
    assert text.script_of("\ue000") == ""


def test_only_letters_of_the_sample_count() -> None:
    """Digits, marks, underscores and what lies behind the sample do not."""
    assert text.script_counts("ab_1! жñ") == {"Latin": 3, "Cyrillic": 1}
    assert text.script_counts("a" * 10 + "ж" * 90, sample=12) == {"Latin": 10, "Cyrillic": 2}


DOMINANT = {
    "none": ("123 !?", ""),
    "empty": ("", ""),
    "latin": ("The river", "Latin"),
    "mixed": ("река река river", "Cyrillic"),
    "japanese": ("東京は日本の首都です", "Hiragana"),
    "japanese with few kana": ("東京大学経済学部の", "Hiragana"),
    "too few kana": ("北京大学经济学院研究生院の" + "学", "Han"),
    "katakana": ("コンピュータ東京", "Hiragana"),
    "nothing but katakana": ("コンピュータ", "Katakana"),
    "japanese among latin": ("internet explorer の", "Latin"),
    "chinese": ("北京是中国的首都", "Han"),
    "korean": ("서울은 대한민국의 수도", "Hangul"),
}


@pytest.mark.parametrize(("sample", "script"), DOMINANT.values(), ids=DOMINANT)
def test_dominant_script(sample: str, script: str) -> None:
    """The script of most letters; a tenth of kana makes Chinese characters Japanese."""
    assert text.dominant_script(sample) == script


@given(st.text("abжгα漢ひ 1", max_size=40), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_the_order_of_letters_does_not_matter(sample: str, random: object) -> None:
    """A permutation has the same dominant script, ties included."""
    shuffled = list(sample)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert text.dominant_script("".join(shuffled)) == text.dominant_script(sample)
