"""Which paragraph is asked about: uniform, stable, and found again by its offset."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.synthesis import sampling
from curation.synthesis.config import SynthesisConfig

SHORT = SynthesisConfig(min_paragraph_characters=5, max_paragraph_characters=40)


@pytest.mark.parametrize(
    ("language", "script", "characters", "eligible"),
    [
        ("en", "Latin", 3000, True),
        ("en", "Latin", 2999, False),
        ("en", "Latin", 200_000, True),
        ("en", "Latin", 200_001, False),
        ("ja", "Han", 1000, True),
        ("ja", "Hiragana", 999, False),
        ("ja", "Han", 66_667, False),
        ("de", "Latin", 5000, False),
    ],
)
def test_eligibility(language: str, script: str, characters: int, eligible: bool) -> None:
    """Language and length decide, both bounds included; scripts without spaces need a third."""
    config = SynthesisConfig(languages=("en", "fr", "ja"))
    assert sampling.is_eligible(language, script, characters, config) is eligible


@pytest.mark.parametrize(
    ("bounds", "tokens", "fits"),
    [((0, 0), 9, True), ((10, 0), 9, False), ((9, 0), 9, True), ((0, 8), 9, False)],
)
def test_the_band_in_tokens(bounds: tuple[int, int], tokens: int, fits: bool) -> None:
    """A bound of 0 is none."""
    config = SynthesisConfig(min_document_tokens=bounds[0], max_document_tokens=bounds[1])
    assert sampling.has_token_band(config) is any(bounds)
    assert sampling.fits_token_band(tokens, config) is fits


def test_every_language_is_eligible_by_default() -> None:
    """An empty list of languages means all."""
    assert sampling.is_eligible("sw", "Latin", 3000, SynthesisConfig())


@given(
    text=st.text("ab. \n日é", max_size=200), identity=st.text(max_size=5), count=st.integers(1, 9)
)
@settings(deadline=None, max_examples=100)
def test_paragraphs_lie_where_they_say(text: str, identity: str, count: int) -> None:
    """A paragraph is the text at its offset, begins a line and is long enough; none is twice."""
    found = sampling.pick_paragraphs(text, "Latin", identity, SHORT, count)
    lines = [line for line in text.split("\n") if line.strip()]
    assert len(found) == min(count, len({line for line in lines if len(line) >= 5}))
    assert len({paragraph.start for paragraph in found}) == len(found)
    for paragraph in found:
        assert text[paragraph.start :].startswith(paragraph.text)
        assert paragraph.start == 0 or text[paragraph.start - 1] == "\n"
        assert paragraph.position == paragraph.start / len(text)
        assert 1 <= len(paragraph.text) <= 40
        assert lines[paragraph.index].startswith(paragraph.text)


def test_draw_is_uniform_over_the_document() -> None:
    """Paragraphs of the lead are asked about no more than those of the end, nor first."""
    text = "\n".join(f"Paragraph number {i}." for i in range(4))
    config = SynthesisConfig(min_paragraph_characters=5)
    picks = [sampling.pick_paragraphs(text, "Latin", f"d{i}", config, 2) for i in range(4000)]
    for place in (0, 1):
        counts = Counter(pick[place].text for pick in picks)
        assert sorted(counts) == text.split("\n")
        assert all(abs(count - 1000) < 140 for count in counts.values())


def test_more_questions_keep_the_paragraphs_of_fewer() -> None:
    """Asking about three paragraphs instead of two costs one new answer."""
    text = "\n".join(f"Paragraph number {i}." for i in range(30))
    config = SynthesisConfig(min_paragraph_characters=5)
    few, more = (sampling.pick_paragraphs(text, "Latin", "d", config, n) for n in (2, 29))
    assert more[:2] == few
    draws = [sampling.generator("d", number, 0).random() for number in range(5)]
    assert len(set(draws)) == 5
    assert draws[1] == sampling.generator("d", 1, 0).random()


def test_draw_depends_on_document_and_seed_alone() -> None:
    """A document's paragraph is the same in every run; another seed draws anew."""
    text = "\n".join(f"Paragraph number {i}." for i in range(50))
    configs = [SynthesisConfig(min_paragraph_characters=5, seed=seed) for seed in (0, 0, 1)]
    one, again, other = (
        [sampling.pick_paragraphs(text, "Latin", f"d{i}", config) for i in range(20)]
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
    picks = sampling.pick_paragraphs("字" * length, script, "d", SynthesisConfig())
    assert len(picks) == found


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
