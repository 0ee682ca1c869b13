"""The judge's grade is one number on its own; whatever else it says is no grade."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import ConfigError
from curation.synthesis import judge
from curation.synthesis.judge import JudgeConfig


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("4", 4),
        (" 5\n", 5),
        ('{"score": 1}', 1),
        ('{"score": 3, "why": "vague"}', 3),
        ("0", None),
        ("6", None),
        ("4.0", None),
        ("true", None),
        ('{"score": true}', None),
        ('{"score": "4"}', None),
        ('{"grade": 4}', None),
        ("[4]", None),
        ("Score: 4", None),
        ("4 out of 5", None),
        ('```json\n{"score": 4}\n```', None),
        ('{"score": 4} {"score": 5}', None),
        ("[" * 100_000, None),
        ("NaN", None),
        ("", None),
    ],
)
def test_only_a_grade_on_its_own_counts(answer: str, score: int | None) -> None:
    """A number in a sentence may be anything: 4 of 10 criteria, or a year."""
    assert judge.parse(answer) == score


@given(answer=st.text(max_size=30))
def test_what_is_no_grade_is_a_reject(answer: str) -> None:
    """Any answer is either a grade or `unjudged`: it fails closed."""
    config = JudgeConfig(min_score=1)
    problem = judge.decide(answer, config)
    assert (problem is None) == (judge.parse(answer) is not None)
    assert problem is None or problem[0] == "unjudged"


def test_low_grades_and_silence_are_rejected() -> None:
    config = JudgeConfig(min_score=4)
    assert judge.decide("4", config) is None
    assert judge.decide("3", config) == ("judged_low", "3 < 4")
    assert judge.decide(None, config) == ("unjudged", "no answer")


def test_the_prompt_holds_what_is_judged_as_it_is() -> None:
    """Braces in a text are text."""
    asked = judge.prompt("Who {x}?", "A {y} text.", "Deutsch")
    assert "Who {x}?" in asked
    assert "A {y} text." in asked
    assert asked.endswith('as {"score": 3}')
    assert judge.prompt_version() == "judge-1"


def test_another_endpoint_needs_a_model() -> None:
    with pytest.raises(ConfigError, match=r"needs synthesis\.judge\.model"):
        JudgeConfig(base_url="http://x")
    with pytest.raises(ConfigError, match=r"synthesis\.judge\.min_score = 6"):
        JudgeConfig(min_score=6)
