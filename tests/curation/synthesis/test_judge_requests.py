"""Where the judge is asked and what it costs, and that its requests are its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from curation.errors import ConfigError
from curation.records import Sample
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.cost import usd
from curation.synthesis.endpoints import EndpointConfig
from curation.synthesis.judge import JudgeConfig
from curation.synthesis.judge_requests import judge_config, judge_request
from curation.synthesis.responses import Response

SAMPLE = Sample(
    "0" * 32, "d", "u", "de", "web", "Der Turm steht.", 0, 0, 0.0, "t", "Wer", "?", ["\n"], "v"
)  # fmt: skip
BASE = SynthesisConfig(
    base_url="http://a/v1", model="m", prompt="base", input_price=1.0, output_price=2.0
)


def with_judge(config: SynthesisConfig, **options: object) -> SynthesisConfig:
    return judge_config(replace(config, judge=JudgeConfig(enabled=True, **options)))  # type: ignore[arg-type]


def test_the_judge_is_the_questions_model_by_default() -> None:
    """Same endpoint, key and prices; a chat request without randomness, from a base model too."""
    config = with_judge(BASE)
    assert config.all_endpoints() == BASE.all_endpoints()
    request = judge_request(SAMPLE, "Wo steht der Turm?", config)
    assert (request.kind, request.body["model"]) == ("chat", "m")
    assert (request.body["temperature"], request.body["max_tokens"]) == (0.0, 32)
    text = request.body["messages"][0]["content"]
    assert all(part in text for part in ("Der Turm steht.", "Wo steht der Turm?", "German"))


def test_another_judge_has_its_own_prices() -> None:
    """A model at the same endpoint, or another endpoint: the questions' prices do not hold."""
    [other] = with_judge(BASE, model="j", input_price=5.0, output_price=6.0).all_endpoints()
    assert (other.base_url, other.input_price, other.output_price) == ("http://a/v1", 5.0, 6.0)
    [far] = with_judge(BASE, base_url="http://b/v1", model="j", api_key_env="K").all_endpoints()
    assert (far.base_url, far.api_key_env, far.is_priced) == ("http://b/v1", "K", False)
    many = SynthesisConfig(
        model="m", endpoints=(EndpointConfig(base_url="http://a/v1", model="x"),)
    )
    [same] = with_judge(many).all_endpoints()
    assert same.model == "x"
    [judge] = with_judge(many, model="j").all_endpoints()
    assert judge.model == ""


def test_a_cap_on_money_needs_the_judges_prices() -> None:
    """Known before anything is asked."""
    capped = SynthesisConfig(
        base_url="http://a/v1", model="m", input_price=1.0, output_price=2.0, max_usd=3.0
    )
    assert with_judge(capped).max_usd == 3.0
    with pytest.raises(ConfigError, match="max_usd = 3 needs input_price"):
        with_judge(capped, model="j")


def test_keys_name_question_paragraph_and_model() -> None:
    """Each of them makes another request."""
    config = with_judge(BASE)
    keys = {
        judge_request(SAMPLE, "Wo?", config).key,
        judge_request(SAMPLE, "Wer?", config).key,
        judge_request(SAMPLE, "Wo?", with_judge(BASE, model="j")).key,
    }
    assert len(keys) == 3


def test_cost_of_answers_by_their_endpoint() -> None:
    """Prices are per million tokens; an answer of an endpoint without prices costs nothing."""
    answers = [
        Response("1", "", "stop", "m", 1_000_000, 500_000, endpoint="a"),
        Response("2", "", "stop", "m", 1_000_000, 500_000, endpoint="elsewhere"),
    ]
    assert usd(answers, BASE) == pytest.approx(1.0 + 2.0 * 0.5)
    assert usd(answers, SynthesisConfig(base_url="http://a/v1", model="m")) is None
    assert usd(answers, SynthesisConfig(local_server="gemma-3-270m")) is None
