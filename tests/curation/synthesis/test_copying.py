"""What a question shares with its paragraph, against slow oracles."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.synthesis import copying


@given(question=st.text("abcé ", max_size=12), paragraph=st.text("abcé ", max_size=30))
@settings(deadline=None, max_examples=100)
def test_longest_shared_equals_the_oracle(question: str, paragraph: str) -> None:
    """It is the longest of all substrings that the paragraph contains."""
    pieces = {question[i:j] for i in range(len(question)) for j in range(i, len(question) + 1)}
    longest = max((len(piece) for piece in pieces if piece in paragraph), default=0)
    assert copying.longest_shared(question, paragraph) == longest


@given(
    question=st.lists(st.sampled_from("ab"), max_size=8),
    paragraph=st.lists(st.sampled_from(["a", "b", "ab", "c"]), max_size=15),
)
@settings(deadline=None, max_examples=100)
def test_copied_words_equal_the_oracle(question: list[str], paragraph: list[str]) -> None:
    """Words count whole: "ab" holds neither "a" nor "b"."""
    runs = {tuple(paragraph[i:j]) for i in range(16) for j in range(i, 16)}
    ends = range(len(question) + 1)
    wanted = max(j - i for j in ends for i in range(j + 1) if tuple(question[i:j]) in runs)
    assert copying.copied_words(" ".join(question), ", ".join(paragraph)) == wanted


@pytest.mark.parametrize(
    ("question", "paragraph", "words"),
    [
        ("Who built the old lighthouse?", "They BUILT the 'old' lighthouse.", 4),
        ("Кто построил старый маяк?", "Он построил старый маяк.", 3),
        ("Ποιος έχτισε τον φάρο;", "Έχτισε τον φάρο.", 3),
        ("من بنى المنارة القديمة؟", "لقد بنى المنارة القديمة", 3),
        ("पुराना प्रकाशस्तंभ किसने बनाया?", "पुराना प्रकाशस्तंभ", 2),
        ("পুরোনো বাতিঘর কে বানায়?", "পুরোনো বাতিঘর", 2),
        ("누가 옛 등대를 지었나?", "그가 옛 등대를 지었다", 2),
        ("", "any", 0),
    ],
)
def test_copied_words(question: str, paragraph: str, words: int) -> None:
    """Case, quotes and marks do not break a run; marks of Indic letters do not break a word."""
    assert copying.copied_words(question, paragraph) == words


@pytest.mark.parametrize(
    ("question", "paragraph", "characters"),
    [
        ("谁建造了邓尼奇灯塔？", "公司建造了“邓尼奇”灯塔。", 8),
        ("誰が灯台を建てたか", "会社が灯台を建てた", 7),
        ("ใครสร้างประภาคาร", "เขาสร้างประภาคาร", 13),
    ],
)
def test_copied_characters(question: str, paragraph: str, characters: int) -> None:
    assert copying.copied_characters(question, paragraph) == characters


def test_copied_share_ignores_case_and_long_texts() -> None:
    paragraph = "aaaa bbbb " * 400 + "The harbour\ncompany built it."
    assert copying.copied_share("THE HARBOUR  COMPANY", paragraph) == 1.0
    assert copying.copied_share("", paragraph) == 0.0
