"""The `[synthesis]` table: mistakes are named before a request is paid for."""

import re

import pytest

from curation.errors import ConfigError
from curation.synthesis.config import SynthesisConfig


def test_defaults_hold_no_key() -> None:
    """The config names the variable of the key; no field could hold the key itself."""
    config = SynthesisConfig()
    assert config.api_key_env == "OPENAI_API_KEY"
    assert [name for name in config.__slots__ if "key" in name] == ["api_key_env"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"prompt": "bass"},
            "unknown synthesis.prompt 'bass': did you mean 'base'? valid: base, instruct, paper",
        ),
        (
            {"local_server": "gemma-3-270m", "base_url": "http://x/v1"},
            "synthesis.local_server and synthesis.base_url exclude each other; ",
        ),
        (
            {"local_server": "gemma-3"},
            "unknown synthesis.local_server 'gemma-3': did you mean 'gemma-3-270m'? ",
        ),
        (
            {"style": "claims"},
            "unknown synthesis.style 'claims': did you mean 'claim'? valid: claim, keywords, quest",
        ),
        ({"difficulty": "harder"}, "unknown synthesis.difficulty 'harder': did you mean 'hard'?"),
        ({"prompt": "base", "style": "claim"}, "synthesis.prompt = 'base' asks plain questions"),
        ({"prompt": "paper", "difficulty": "hard"}, "synthesis.prompt = 'paper' asks plain que"),
        ({"prompt": "base", "answer": True}, "synthesis.prompt = 'base' cannot ask for answers"),
        ({"answer": True}, "synthesis.max_output_tokens = 64 cuts off answers with evidence; set "),
        ({"max_copied_words": -1}, "synthesis.max_copied_words = -1 is outside 0 .. 1000"),
        ({"max_question_characters": 11}, "synthesis.max_question_characters = 11 is outside 12"),
        ({"temperature": 2.1}, "synthesis.temperature = 2.1 is outside 0 .. 2"),
        ({"concurrency": 0}, "synthesis.concurrency = 0 is outside 1 .. 10000"),
        ({"max_output_tokens": 0}, "synthesis.max_output_tokens = 0 is outside 1 .. 100000"),
        ({"timeout_seconds": 0.0}, "synthesis.timeout_seconds = 0.0 is outside 0.1 .. 3600"),
        ({"max_attempts": 0}, "synthesis.max_attempts = 0 is outside 1 .. 100"),
        ({"documents_per_language": -1}, "synthesis.documents_per_language = -1 is outside"),
        ({"documents": 0}, "synthesis.documents = 0 is outside 1 .. 1e+09"),
        ({"questions_per_document": 0}, "synthesis.questions_per_document = 0 is outside"),
        ({"min_document_tokens": -1}, "synthesis.min_document_tokens = -1 is outside"),
        ({"max_document_tokens": -1}, "synthesis.max_document_tokens = -1 is outside"),
        ({"quotas": {"*": 5}}, "synthesis.quotas: '*' is no key; it takes LANGUAGE, "),
        ({"quotas": {"de/": 5}}, "synthesis.quotas: 'de/' is no key"),
        ({"quotas": {"/web": 5}}, "synthesis.quotas: '/web' is no key"),
        ({"quotas": {"de": -5}}, "synthesis.quotas.de = -5 is outside"),
        ({"max_copied_share": 1.2}, "synthesis.max_copied_share = 1.2 is outside 0 .. 1"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_mistakes_are_refused(options: dict[str, object], message: str) -> None:
    """Each message begins with the option and the value that is wrong."""
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        SynthesisConfig(**options)  # type: ignore[arg-type]
