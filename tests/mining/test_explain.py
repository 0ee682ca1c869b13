"""Where matches stand, and which stretch of a text is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.explain import Span, _trimmed, at_words, inside, readable, shared_terms, spans, window
from train.checkpoint import load
from train.config import ModelConfig
from train.model import M3Model


@pytest.fixture(scope="module")
def model(tiny_encoder: str) -> M3Model:
    config = ModelConfig(
        encoder=tiny_encoder, max_passage_tokens=40, max_query_tokens=32, passage_prompt="river: "
    )
    return load(tiny_encoder, config, 0)


def tokens(model: M3Model, text: str) -> dict[int, float]:
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    return dict.fromkeys(ids, 0.5)


def test_spans_are_the_words_that_are_shared(model: M3Model) -> None:
    """Tokens that touch are one span, without the space before, with the sum of their shares."""
    text = "The river and the sea; the river."
    found = spans(model, text, tokens(model, "river"), tokens(model, text))
    assert [text[span.start : span.end] for span in found] == ["river", "river"]
    pieces = len(tokens(model, "river"))
    assert [span.score for span in found] == pytest.approx([0.25 * pieces] * 2)


def test_what_the_passage_lacks_is_no_match(model: M3Model) -> None:
    """A token without weight in the passage is not marked, nor what lies beyond the cut."""
    assert spans(model, "The river.", tokens(model, "river"), {}) == []
    text = "mills " * 60
    found = spans(model, text, tokens(model, "mills"), tokens(model, "mills"))
    assert found
    assert found[-1].end < len(text) / 2


def test_terms_are_ordered_by_their_share(model: M3Model) -> None:
    """The products add up to the sparse score."""
    ids = list(tokens(model, "river sea"))
    query = dict(zip(ids, (0.1, 0.9, 0.5, 0.2), strict=False))
    passage = dict.fromkeys(ids[:-1], 1.0) | {399: 5.0}
    found = shared_terms(model, query, passage)
    shares = [term.score for term in found]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(sum(query[i] * passage[i] for i in query if i in passage))


@pytest.mark.parametrize(
    ("token", "shown"),
    [("▁river", "river"), ("##er", "er"), ("Ġsea", "sea"), ("▁", "▁"), ("水", "水")],
)
def test_tokens_are_shown_without_their_marks(token: str, shown: str) -> None:
    """Of SentencePiece, WordPiece and byte-level tokenizers."""
    assert readable(token) == shown


def test_the_window_shows_where_most_is_shared() -> None:
    """A cluster of matches beats a single one; without matches it is the beginning."""
    lonely, cluster = Span(10, 14, 1.0), [Span(500, 505, 0.8), Span(560, 566, 0.8)]
    start, end = window(1000, [lonely, *cluster], 100)
    assert start <= 500 < 566 <= end
    assert end - start == 100
    assert window(1000, [], 100) == (0, 100)
    assert window(60, cluster, 100) == (0, 60)


def test_marks_stay_with_their_letters(model: M3Model) -> None:
    """A token that ends before a vowel sign is marked with it; a word's beginning is no match."""
    text = "\u0928\u0947 sea"
    letter = model.tokenizer.convert_tokens_to_ids("▁")
    assert spans(model, "sea river", {letter: 1.0}, {letter: 1.0}) == []
    assert _trimmed(Span(0, 1, 1.0), text) == Span(0, 2, 1.0)
    assert _trimmed(Span(1, 2, 1.0), text) == Span(0, 2, 1.0)
    assert _trimmed(Span(2, 6, 1.0), text) == Span(3, 6, 1.0)


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        pytest.param(0, 23, "the river rises in the", id="cut at the end"),
        pytest.param(6, 40, "rises in the northern hills", id="cut at the start"),
        pytest.param(4, 15, "river rises", id="between words"),
    ],
)
def test_a_snippet_has_whole_words(start: int, end: int, shown: str) -> None:
    """The border of a word near the cut; text without spaces is cut where it was."""
    text = "the river rises in the northern hills"
    first, last = at_words(text, start, min(end, len(text)))
    assert text[first:last] == shown
    assert at_words("水" * 100, 10, 60) == (10, 60)
    assert at_words("\u0928\u0947" * 50, 1, 31) == (2, 32)


SPANS = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 9), st.floats(0.1, 2)), max_size=12)


@given(SPANS, st.integers(20, 80))
def test_no_window_shows_more(listed: list[tuple[int, int, float]], size: int) -> None:
    """The window lies in the text, and the best start of any span scores no more than it does."""
    found, done = [], 0
    for gap, length, score in listed:
        found.append(Span(done + gap, done + gap + length, score))
        done = found[-1].end
    total = done + 5
    start, end = window(total, found, size)
    assert 0 <= start <= end <= total
    assert end - start == min(size, total)
    for span in inside(found, start, end):
        assert 0 <= span.start < span.end <= end - start
    # the window begins up to size // 8 before its first match: what that shifts out may be missing
    shown = sum(s.score for s in found if s.start >= start and s.end <= end + size // 8)
    best = max(
        (
            sum(s.score for s in found if s.start >= first.start and s.end <= first.start + size)
            for first in found
        ),
        default=0.0,
    )
    assert total <= size or shown >= best - 1e-6
