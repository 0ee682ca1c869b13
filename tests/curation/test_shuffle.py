"""Segment shuffle: the same characters in another order, cut where a reader would cut."""

from __future__ import annotations

import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from curation.pairs import PairConfig, document_pairs
from curation.records import Document, Pair
from curation.shuffle import cuts, shuffle_segments, shuffled
from curation.text import normalise

ENGLISH = " ".join(f"Sentence number {i} tells of mill {i} on the river." for i in range(12))
LINES = "\n\n".join(f"Paragraph {i} has several words and no end mark" for i in range(9))
CHINESE = "".join(f"第{i}座磨坊建在北方的河边，磨了八个世纪的谷物。" for i in range(12))
THAI = "แม่น้ำไหลผ่านเมืองสามแห่งก่อนจะไหลลงสู่ทะเลและโรงสีของแม่น้ำได้บดข้าวโพดมาเป็นเวลาแปดศตวรรษโดยไม่หยุด" * 2
HINDI = " ".join(f"नदी {i} उत्तरी पहाड़ियों से निकलती है।" for i in range(12))


@pytest.mark.parametrize(
    ("text", "between"),
    [(ENGLISH, ". "), (LINES, "k\n\n"), (CHINESE, "。"), (HINDI, "। ")],
    ids=["english", "lines", "chinese", "hindi"],
)
def test_cuts_lie_at_ends_of_sentences(text: str, between: str) -> None:
    """Both cuts fall right after a sentence or line, near a third and two thirds."""
    found = cuts(text)
    assert found is not None
    for target, (start, end) in zip((len(text) / 3, 2 * len(text) / 3), found, strict=True):
        assert text[:end].endswith(between)
        assert abs(start - target) <= len(text) / 7


def test_thai_is_cut_between_characters() -> None:
    """No space is added, and no vowel or tone mark loses the letter it stands on."""
    found = shuffle_segments(THAI, "id")
    assert found != THAI
    assert " " not in found
    spans = cuts(THAI)
    assert spans is not None
    for start, end in spans:
        assert start == end
        assert unicodedata.category(THAI[end]) != "Mn"
        assert THAI[end - 1] not in "เแโใไ"


def test_a_text_without_a_place_to_cut_stays() -> None:
    """One long word of a script with spaces is not torn."""
    assert cuts("x" * 500) is None
    assert shuffle_segments("x" * 500, "id") == "x" * 500


@settings(deadline=None, max_examples=40)
@given(
    words=st.lists(
        st.text("abcdeé漢字かไà .!。\n", min_size=1, max_size=12), min_size=20, max_size=60
    ),
    identity=st.text(max_size=8),
)
def test_a_shuffle_keeps_all_characters(words: list[str], identity: str) -> None:
    """The result has the characters of the text, and differs where segments do."""
    text = normalise(" ".join(words))
    found = shuffle_segments(text, identity)
    assert Counter(found) == Counter(text)
    assert found == shuffle_segments(text, identity)
    spans = cuts(text)
    if spans is None:
        assert found == text
    else:
        (a, b), (c, d) = spans
        assert 0 < a <= b < c <= d < len(text)
        if len({text[:a], text[b:c], text[d:]}) == 3 and text[a:b] == text[c:d] == " ":
            assert found != text


def test_all_five_orders_occur_and_never_the_first() -> None:
    """Over many ids every order but the identity is drawn about equally often."""
    found = Counter(shuffle_segments(ENGLISH, f"id-{i}") for i in range(500))
    assert len(found) == 5
    assert ENGLISH not in found
    assert min(found.values()) > 60


def test_the_share_is_drawn_by_id() -> None:
    """0.2 % of long texts, none at 0, all at 1; 100 characters stay as they are."""
    drawn = sum(shuffled(ENGLISH, f"id-{i}", 0.002) != ENGLISH for i in range(20_000))
    assert 20 <= drawn <= 65
    assert shuffled(ENGLISH, "id", 0.0) == ENGLISH
    assert shuffled(ENGLISH, "id", 1.0) != ENGLISH
    short = ENGLISH[:100]
    assert shuffled(short, "id", 1.0) == short


def test_a_shuffled_pair_keeps_the_id_of_the_text_in_order() -> None:
    """Ids do not tell of the shuffle, a column does; the document itself is left alone."""
    document = Document("d", "wiki", "Mills", ENGLISH, language="en", script="Latin")
    [plain] = document_pairs(document, PairConfig(relations=("title-body",), segment_shuffle=0.0))
    [mixed] = document_pairs(document, PairConfig(relations=("title-body",), segment_shuffle=1.0))
    assert isinstance(plain, Pair)
    assert isinstance(mixed, Pair)
    assert mixed.id == plain.id == Pair("Mills", ENGLISH, "x", "en", "en", "s").id
    assert plain.positive == document.text == ENGLISH
    assert mixed.positive == shuffle_segments(ENGLISH, plain.id)
    assert (plain.segments_shuffled, mixed.segments_shuffled) == (False, True)


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"curation\.pairs\.segment_shuffle"):
        PairConfig(segment_shuffle=1.5)
