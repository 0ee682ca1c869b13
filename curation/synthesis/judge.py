"""The optional judge: a model grades a question 1 to 5, and what it does not grade is no good."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from curation.errors import ConfigError, check_range

LOW, UNJUDGED = "judged_low", "unjudged"

_SCORES = range(1, 6)
_EXCERPT = 80  # characters of an answer that is no grade


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeConfig:
    """The `[synthesis.judge]` table."""

    enabled: bool = False
    """Have a model grade the questions that passed all else: one more request for each."""
    base_url: str = ""
    """An OpenAI-compatible endpoint; empty: that of `synthesis`."""
    model: str = ""
    """The judge's name at the endpoint; empty: that of `synthesis`."""
    api_key_env: str = ""
    """The environment variable that holds its key; empty: that of `synthesis`."""
    input_price: float | None = None
    """USD per million input tokens of another endpoint or model than that of `synthesis`."""
    output_price: float | None = None
    """USD per million output tokens of it."""
    min_score: int = 4
    """Questions graded lower, of 1 to 5, are rejected."""
    max_output_tokens: int = 32
    """Cap on an answer's tokens; models that think first need hundreds."""

    def __post_init__(self) -> None:
        check_range("synthesis.judge.min_score", self.min_score, 1, 5)
        check_range("synthesis.judge.max_output_tokens", self.max_output_tokens, 1, 100_000)
        for name in ("input_price", "output_price"):
            check_range(f"synthesis.judge.{name}", getattr(self, name) or 0.0, 0.0, 1e6)
        if self.base_url and not self.model:
            raise ConfigError(
                f"synthesis.judge.base_url = {self.base_url!r} needs synthesis.judge.model, the "
                "judge's name there"
            )


@cache
def _template() -> dict[str, str]:
    text = files("curation.synthesis").joinpath("judge.toml").read_text(encoding="utf-8")
    return {name: str(value) for name, value in tomllib.loads(text).items()}


def template() -> str:
    """Return the judge's prompt before it is filled in."""
    return _template()["prompt"]


def prompt_version() -> str:
    """Return the name of the judge's prompt with its version."""
    return f"judge-{_template()['version']}"


def prompt(question: str, paragraph: str, language: str) -> str:
    """Return the judge's prompt for a question; `language` is a name or code."""
    return template().format(question=question, paragraph=paragraph, language=language)


def parse(answer: str) -> int | None:
    """Return the grade in an answer: one integer or one JSON object with a `score`, else None.

    A number somewhere in a sentence is no grade (reference: synthesis, judges that fail open).
    """
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        value = value.get("score")
    return value if type(value) is int and value in _SCORES else None


def decide(answer: str | None, config: JudgeConfig) -> tuple[str, str] | None:
    """Return (reason, value) for a question that must go, None for one that is good.

    No answer, or one that is no grade, is a reject too.
    """
    if answer is None:
        return UNJUDGED, "no answer"
    score = parse(answer)
    if score is None:
        return UNJUDGED, " ".join(answer[:_EXCERPT].split())
    return (LOW, f"{score} < {config.min_score}") if score < config.min_score else None
