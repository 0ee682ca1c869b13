"""Which paragraph is asked about: uniform, stable, and found again by its offset."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.synthesis import sampling
from curation.synthesis.config import SynthesisConfig

SHORT = SynthesisConfig(min_paragraph_characters=5, max_paragraph_characters=40)


@pytest.mark.parametrize(
    ("language", "characters", "eligible"),
    [
        ("en", 3000, True),
        ("en", 2999, False),
        ("en", 200_000, True),
        ("en", 200_001, False),
        ("de", 5000, False),
    ],
)
def test_eligibility(language: str, characters: int, eligible: bool) -> None:
    """Language and length decide; both bounds belong to the range."""
    config = SynthesisConfig(languages=("en", "fr"))
    assert sampling.is_eligible(language, characters, config) is eligible


def test_every_language_is_eligible_by_default() -> None:
    """An empty list of languages means all."""
    assert sampling.is_eligible("sw", 3000, SynthesisConfig())


@given(text=st.text("ab. \n日é", max_size=200), identity=st.text(max_size=5))
@settings(deadline=None, max_examples=100)
def test_paragraph_lies_where_it_says(text: str, identity: str) -> None:
    """A paragraph is the text at its offset, begins a line, and is long enough."""
    found = sampling.pick_paragraph(text, "Latin", identity, SHORT)
    lines = [line for line in text.split("\n") if len(line) >= 5 and line.strip()]
    if found is None:
        assert lines == []
        return
    assert text[found.start :].startswith(found.text)
    assert found.start == 0 or text[found.start - 1] == "\n"
    assert found.position == found.start / len(text)
    assert 1 <= len(found.text) <= 40
    assert any(line.startswith(found.text) for line in lines)


def test_draw_is_uniform_over_the_document() -> None:
    """Paragraphs of the lead are asked about no more than those of the end."""
    text = "\n".join(f"Paragraph number {i}." for i in range(4))
    config = SynthesisConfig(min_paragraph_characters=5)
    picks = [sampling.pick_paragraph(text, "Latin", f"d{i}", config) for i in range(4000)]
    counts = Counter(pick.text for pick in picks if pick)
    assert sorted(counts) == text.split("\n")
    assert all(abs(count - 1000) < 140 for count in counts.values())


def test_draw_depends_on_document_and_seed_alone() -> None:
    """A document's paragraph is the same in every run; another seed draws anew."""
    text = "\n".join(f"Paragraph number {i}." for i in range(50))
    configs = [SynthesisConfig(min_paragraph_characters=5, seed=seed) for seed in (0, 0, 1)]
    one, again, other = (
        [sampling.pick_paragraph(text, "Latin", f"d{i}", config) for i in range(20)]
        for config in configs
    )
    assert one == again
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 5


@pytest.mark.parametrize(
    ("script", "length", "found"),
    [("Latin", 199, False), ("Latin", 200, True), ("Han", 65, False), ("Han", 66, True)],
)
def test_least_length_by_script(script: str, length: int, found: bool) -> None:
    """A paragraph needs a third of the characters where words have no spaces."""
    pick = sampling.pick_paragraph("字" * length, script, "d", SynthesisConfig())
    assert (pick is not None) is found


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("Short.", 6, "Short."),
        ("One sentence. Another one. Third", 30, "One sentence. Another one."),
        ("One sentence. Another one. Third", 26, "One sentence. Another one."),
        ("One sentence. Another one. Third", 25, "One sentence."),
        ("It costs 3.14 euros in every shop of the town", 11, "It costs 3."),
        ("One. It costs 3.14 euros", 16, "One. It costs 3."),
        ("A whole sentence. It costs 3.14 euros", 29, "A whole sentence."),
        ("He said “no.” Then he left", 20, "He said “no.”"),
        ("一つの文。もう一つの文", 8, "一つの文。"),
        ("A. then a very long tail without an end", 20, "A. then a very long "),
        ("no end at all in here", 10, "no end at "),
    ],
)
def test_cut(text: str, limit: int, cut: str) -> None:
    """A long paragraph ends after its last whole sentence; where that leaves little, hard."""
    assert sampling.cut(text, limit) == cut


@given(text=st.text("ab.。! \n”3", max_size=60), limit=st.integers(1, 60))
@settings(deadline=None, max_examples=100)
def test_cut_is_a_prefix_within_the_limit(text: str, limit: int) -> None:
    """No cut adds, exceeds the limit, or leaves less than a third of it."""
    got = sampling.cut(text, limit)
    assert text.startswith(got)
    assert len(got) <= limit
    assert len(got) > limit // 3 or got == text
