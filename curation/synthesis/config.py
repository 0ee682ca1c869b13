"""How questions are written: the `[synthesis]` table."""

from __future__ import annotations

from dataclasses import dataclass, field

from curation.errors import ConfigError, check_range, unknown_name
from curation.synthesis.batch_config import BatchConfig
from curation.synthesis.duplicates import QuestionDuplicateConfig
from curation.synthesis.endpoints import EndpointConfig
from curation.synthesis.judge import JudgeConfig
from curation.synthesis.quotas import check_quotas
from curation.synthesis.round_trip import RoundTripConfig

PROMPTS = ("instruct", "paper", "base")
STYLES = ("question", "keywords", "claim")
DIFFICULTIES = ("", "easy", "medium", "hard")
_LEAST_TOKENS_OF_ANSWERS = 128
_AMOUNTS = (
    *("rpm", "tpm", "max_tokens", "max_requests", "max_usd"),
    *("input_price", "cached_input_price", "output_price"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SynthesisConfig:
    """The `[synthesis]` table."""

    local_server: str = ""
    """Start this model on loopback for the run: gemma-3-270m (from the demo's wheels)."""
    base_url: str = ""
    """An OpenAI-compatible endpoint, as https://llm.example/v1; excludes local_server."""
    endpoints: tuple[EndpointConfig, ...] = ()
    """Several endpoints instead of base_url: each is asked as fast as it answers."""
    model: str = ""
    """The model's name; part of what a request is known by."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; never the key itself."""
    responses: str = ""
    """Local folder of the answer log; empty: OUT/responses, which must then be local."""
    prompt: str = "instruct"
    """instruct: in the document's language; paper: one English prompt for all, as the paper's;
    base: a text to continue, for models without tuning."""
    style: str = "question"
    """question; keywords: a search query of a few words; claim: a statement the text proves."""
    difficulty: str = ""
    """easy, medium or hard: a sentence of the prompt; empty: none."""
    answer: bool = False
    """Ask for question, answer and evidence as JSON in a strict schema."""
    languages: tuple[str, ...] = ()
    """Only documents in these languages; empty: all."""
    documents: int = 1000
    """Documents drawn in all, shared out over the languages as in the paper's table."""
    documents_per_language: int = 0
    """If above 0: draw so many of each language instead, uniformly."""
    quotas: dict[str, int] = field(default_factory=dict)
    """Explicit numbers: quotas = {de = 50, "de/wikipedia" = 20, "*/c4" = 10}: so many documents of
    a language, and at most so many of a source in a language or in every language."""
    questions_per_document: int = 1
    """Paragraphs asked about per document, drawn uniformly without replacement."""
    min_document_characters: int = 3000
    """Shorter documents are not long documents; a third of it in unspaced scripts."""
    max_document_characters: int = 200_000
    """Longer ones are left out; a third of it in unspaced scripts."""
    min_document_tokens: int = 0
    """Shorter ones in tokens of the encoder are left out; 0: no bound."""
    max_document_tokens: int = 0
    """Longer ones in tokens of the encoder are left out; 0: no bound."""
    min_paragraph_characters: int = 200
    """Paragraphs shorter than this carry no question; a third of it in unspaced scripts."""
    max_paragraph_characters: int = 2000
    """Longer paragraphs are cut at a sentence end."""
    temperature: float = 0.4
    """Sampling temperature."""
    max_output_tokens: int = 64
    """Cap on a question's tokens."""
    concurrency: int = 8
    """Most requests in flight; fewer while the endpoint is overloaded."""
    ask_on_workers: int = 0
    """Ask from so many Beam workers, each with its share of the limits; 0: the launcher asks."""
    batch: BatchConfig = field(default_factory=BatchConfig)
    """Request files of batches."""
    rpm: int = 0
    """Requests per minute, retries included; 0: no limit."""
    tpm: int = 0
    """Tokens per minute, input and output; 0: no limit."""
    input_price: float | None = None
    """USD per million input tokens; 0.0 for a free endpoint."""
    cached_input_price: float | None = None
    """USD per million input tokens that the endpoint had cached; unset: the input price."""
    output_price: float | None = None
    """USD per million output tokens, reasoning included."""
    max_usd: float = 0.0
    """A run stops before it costs more (exit status 3); needs prices; 0: no cap."""
    max_tokens: int = 0
    """A run stops before it takes more tokens, input and output (exit status 3); 0: no cap."""
    max_requests: int = 0
    """A run stops before it sends more requests, retries included (exit status 3); 0: no cap."""
    timeout_seconds: float = 90.0
    """Patience per request, from the connection to the last byte."""
    max_attempts: int = 5
    """Tries per request on server errors and dropped connections; bursts of overload count once."""
    min_question_characters: int = 12
    """Shorter answers are no questions; 3/4 of it in Arabic and Hebrew letters, half in Korean,
    a third in unspaced scripts."""
    max_question_characters: int = 400
    """Longer answers are no questions; half of it in Chinese, Japanese and Korean."""
    max_copied_share: float = 0.6
    """Longest substring shared with the paragraph over the question's length, from 5 words on."""
    max_copied_words: int = 7
    """Words in a row shared with the paragraph; 2 characters are one in Chinese, 3 in Japanese, 5
    in Thai."""
    near_duplicates: QuestionDuplicateConfig = field(default_factory=QuestionDuplicateConfig)
    """Questions that say nearly the same."""
    round_trip: RoundTripConfig = field(default_factory=RoundTripConfig)
    """Whether a question finds its paragraph again."""
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    """A model that grades the questions."""
    seed: int = 0
    """Draws documents and paragraphs, and is sent with each request."""

    def __post_init__(self) -> None:
        self._check_prompt()
        self._check_endpoints()
        if self.local_server and self.base_url:
            raise ConfigError(
                "synthesis.local_server and synthesis.base_url exclude each other; "
                "unset one with --set synthesis.local_server=''"
            )
        if self.local_server not in ("", "gemma-3-270m"):
            message = unknown_name("synthesis.local_server", self.local_server, ("gemma-3-270m",))
            raise ConfigError(message)
        check_range("synthesis.temperature", self.temperature, 0.0, 2.0)
        check_range("synthesis.ask_on_workers", self.ask_on_workers, 0, 10_000)
        check_range("synthesis.max_output_tokens", self.max_output_tokens, 1, 100_000)
        check_range("synthesis.timeout_seconds", self.timeout_seconds, 0.1, 3600)
        check_range("synthesis.max_attempts", self.max_attempts, 1, 100)
        check_range("synthesis.documents", self.documents, 1, 1e9)
        check_range("synthesis.documents_per_language", self.documents_per_language, 0, 1e9)
        check_range("synthesis.questions_per_document", self.questions_per_document, 1, 1000)
        check_range("synthesis.min_document_tokens", self.min_document_tokens, 0, 1e9)
        check_range("synthesis.max_document_tokens", self.max_document_tokens, 0, 1e9)
        check_quotas(self.quotas)
        check_range("synthesis.max_copied_share", self.max_copied_share, 0.0, 1.0)
        check_range("synthesis.max_copied_words", self.max_copied_words, 0, 1000)
        least = self.min_question_characters
        check_range("synthesis.max_question_characters", self.max_question_characters, least, 1e6)

    def _check_prompt(self) -> None:
        for option, value, valid in (
            ("prompt", self.prompt, PROMPTS),
            ("style", self.style, STYLES),
            ("difficulty", self.difficulty, DIFFICULTIES),
        ):
            if value not in valid:
                raise ConfigError(unknown_name(f"synthesis.{option}", value, valid))
        if self.prompt != "instruct" and (self.style != "question" or self.difficulty):
            raise ConfigError(
                f"synthesis.prompt = {self.prompt!r} asks plain questions only; set "
                "synthesis.prompt = 'instruct', or unset synthesis.style and synthesis.difficulty"
            )
        if self.prompt != "instruct" and self.answer:
            raise ConfigError(
                f"synthesis.prompt = {self.prompt!r} cannot ask for answers; set "
                "synthesis.prompt = 'instruct' or synthesis.answer = false"
            )
        if self.answer and self.max_output_tokens < _LEAST_TOKENS_OF_ANSWERS:
            raise ConfigError(
                f"synthesis.max_output_tokens = {self.max_output_tokens} cuts off answers with "
                f"evidence; set it to {_LEAST_TOKENS_OF_ANSWERS} or more, or "
                "synthesis.answer = false"
            )

    def _check_endpoints(self) -> None:
        """Raise `ConfigError` for limits out of range, and for a cap on money without prices."""
        if self.base_url and self.endpoints:
            raise ConfigError(
                "synthesis.base_url and [[synthesis.endpoints]] exclude each other; "
                "make the former one more of the latter"
            )
        check_range("synthesis.concurrency", self.concurrency, 1, 10_000)
        for name in _AMOUNTS:
            check_range(f"synthesis.{name}", getattr(self, name) or 0, 0, 1e12)
        unpriced = [endpoint.label for endpoint in self.all_endpoints() if not endpoint.is_priced]
        if self.max_usd and unpriced:
            raise ConfigError(
                f"synthesis.max_usd = {self.max_usd:g} needs input_price and output_price of "
                f"{', '.join(unpriced)}: USD per million tokens, 0.0 where it is free"
            )

    def all_endpoints(self) -> tuple[EndpointConfig, ...]:
        """Return the endpoints of either form; none for a local server, which has no URL yet."""
        if self.endpoints or not self.base_url:
            return self.endpoints
        return (
            EndpointConfig(
                base_url=self.base_url,
                api_key_env=self.api_key_env,
                concurrency=self.concurrency,
                rpm=self.rpm,
                tpm=self.tpm,
                input_price=self.input_price,
                cached_input_price=self.cached_input_price,
                output_price=self.output_price,
            ),
        )
