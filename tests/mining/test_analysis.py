"""What counts as the same term, by language."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from mining.analysis import Terms, TokenizerAnalyser, analyser


def rows(terms: Terms) -> list[Counter[int]]:
    return [
        Counter(terms.hashes[a:b].tolist())
        for a, b in zip(terms.borders, terms.borders[1:], strict=False)
    ]


def terms(text: str, language: str) -> Counter[int]:
    [found] = rows(analyser(language)([text]))
    return found


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        pytest.param("en", "Lighthouses were BUILT", "lighthouse built were", id="English stems"),
        pytest.param("en", "the keeper's lamp", "keeper lamp", id="English possessive, stop word"),
        pytest.param("de", "STRASSEN", "straße", id="German sharp s"),
        pytest.param("fr", "ﬁnales", "finale", id="ligature"),
        pytest.param("es", "cafe\u0301", "café", id="combining accent"),
        pytest.param("tr", "IŞIK İZMİR", "ışık izmir", id="Turkish I"),
        pytest.param("ro", "ştiinţa", "știința", id="Romanian cedilla"),
        pytest.param("el", "Ο ΛΟΓΟΣ", "λόγος", id="Greek capitals and final sigma"),
        pytest.param("ru", "книгами", "книга", id="Russian case"),
        pytest.param("ar", "كِتَابٌ", "كتاب", id="Arabic vowel signs"),
        pytest.param("ar", "كتـــاب", "كتاب", id="Arabic tatweel"),
        pytest.param("ar", "أحمد", "احمد", id="Arabic hamza"),
        pytest.param("ar", "الكتاب", "كتاب", id="Arabic article"),
        pytest.param("ur", "کتابی", "كتابي", id="Arabic kaf and yeh in Urdu"),
        pytest.param("hi", "फ़िल्म", "फिल्म", id="Hindi nukta"),
        pytest.param("hi", "हिँदी", "हिंदी", id="Hindi candrabindu"),
        pytest.param("hi", "लड़कियों", "लड़की", id="Hindi plural"),
        pytest.param("ja", "ｶﾞｲﾄﾞ", "ガイド", id="half-width kana"),
        pytest.param("zh", "ＡＢＣ", "abc", id="full-width letters"),
        pytest.param("deu_Latn", "Häuser", "hauser", id="any form of the code"),
    ],
)
def test_variants_are_one_term(language: str, one: str, other: str) -> None:
    """Both spellings give the same terms, and some."""
    assert terms(one, language) == terms(other, language) != Counter()


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        pytest.param("", "lighthouses", "lighthouse", id="no stemming where no language is given"),
        pytest.param("vi", "mà", "má", id="Vietnamese tones"),
        pytest.param("hi", "कल", "काल", id="Hindi vowel signs belong to words"),
        pytest.param("en", "organ", "orange", id="other words"),
        pytest.param("th", "กา", "กี", id="Thai vowel signs"),
    ],
)
def test_other_words_are_other_terms(language: str, one: str, other: str) -> None:
    """Nothing in common."""
    assert not terms(one, language) & terms(other, language)


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        pytest.param("zh", "東京都庁", 3, id="pairs of Han"),
        pytest.param("ja", "東京へ行く", 4, id="pairs of Han and kana"),
        pytest.param("zh", "山 abc 山水", 3, id="a letter alone, a word, a pair"),
        pytest.param("th", "ภาษาไทย", 6, id="pairs of Thai letters with their marks"),
        pytest.param("ko", "학교에서 밥", 4, id="pairs of syllables, a short word"),
        pytest.param("ko", "학교", 1, id="one pair"),
        pytest.param("en", "... !? 🙂", 0, id="no letters"),
        pytest.param("en", "", 0, id="empty"),
    ],
)
def test_scripts_without_spaces_give_pairs(language: str, text: str, count: int) -> None:
    """As many terms as pairs and single letters."""
    assert terms(text, language).total() == count


def test_a_phrase_shares_its_inner_pairs() -> None:
    """What is written without spaces is found inside longer text."""
    inner, outer = terms("東京都庁", "ja"), terms("昨日東京都庁へ行った。", "ja")
    assert inner & outer == inner


WORDS = st.sampled_from(
    ["running", "Straße", "東京都", "ไทย", "كتاب", "हिन्दी", "한국어", "x", "the", "1990"]
)
TEXTS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=6)


@settings(deadline=None, max_examples=50)
@given(TEXTS, st.sampled_from(["", "en", "ja", "ar"]))
def test_a_text_gives_the_same_terms_in_any_batch(texts: list[str], language: str) -> None:
    """Batches are an economy only; repeated words count as often as they stand there."""
    together = rows(analyser(language)(texts))
    assert together == [terms(text, language) for text in texts]
    for text, found in zip(texts, together, strict=True):
        doubled = terms(f"{text} . {text}", language)
        assert doubled == Counter({term: 2 * count for term, count in found.items()})


def test_hashes_are_the_same_in_every_process() -> None:
    """An index on disk outlives the process that made it."""
    assert sorted(terms("lighthouse", "en")) == [4292597074469129222]
    assert sorted(terms("東京", "ja")) == [10415909891694329852]


def test_the_models_tokens_are_terms(tiny_encoder: str) -> None:
    """Token ids without special ones; texts are not cut."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    texts = ["The river rises.", "", "market towns " * 400]
    found = TokenizerAnalyser(tokenizer, "tiny")(texts)
    plain = [tokenizer.backend_tokenizer.encode(t, add_special_tokens=False).ids for t in texts]
    assert [
        found.hashes[a:b].tolist() for a, b in zip(found.borders, found.borders[1:], strict=False)
    ] == plain
    assert len(plain[2]) > 512
    assert len(TokenizerAnalyser(tokenizer, "tiny")([])) == 0
