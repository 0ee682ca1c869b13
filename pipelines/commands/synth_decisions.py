"""The steps of `make synth` over the whole set: ranks, the judge, and what follows from them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from curation import manifest
from pipelines.commands.common import load_for_encoding
from pipelines.config import RunConfig, to_dict
from pipelines.stage import Stage
from pipelines.terminal import Progress


def decide(config: RunConfig, job: Any) -> Counter[str]:
    """Decide over the whole set; return the judge's requests and tokens."""
    from pipelines.synthesis import deciding

    usage: Counter[str] = Counter()

    def ask(questions: Any) -> Any:
        return ask_judge(config, questions, usage)

    deciding.decide(job, rank_questions(config, job), ask)
    return usage


def rank_questions(config: RunConfig, job: Any) -> Any:
    """Return the ranks of all questions, computed unless they are up to date; None if off."""
    if not config.synthesis.round_trip.enabled:
        return None
    from pipelines.encoders import describe_encoder, encoder_folder
    from pipelines.synthesis import ranking

    options = to_dict(config.synthesis.round_trip)
    folder = encoder_folder(config.model.encoder)
    stage = Stage(
        name="rank-questions",
        out=config.out,
        outputs=(ranking.OUTPUT,),
        config={
            "round_trip": {k: options[k] for k in ("scope", "dtype")},
            "model": to_dict(config.model),
        },
        inputs=[ranking.digest(job), describe_encoder(folder)],
    )
    if not stage.is_up_to_date():
        from pipelines.relevance import Encoder

        model, dtype = load_for_encoding(config, config.synthesis.round_trip.dtype, "synth")
        with Progress("round trip", "questions") as progress:
            tokens = config.synthesis.round_trip.batch_tokens
            encoder = Encoder(model, dtype, tokens, lambda *_: None)
            ranking.write_ranks(job, stage, encoder, progress)
    directory = stage.directory(ranking.OUTPUT)
    return ranking.Ranks(manifest.part_paths(directory, manifest.read(directory, "make synth")))


def ask_judge(config: RunConfig, questions: Any, usage: Counter[str]) -> Any:
    """Ask the judge what the log does not hold; return what finds an answer by its key."""
    from curation.synthesis.responses import ResponseLog
    from pipelines.commands.synth import ask, responses_folder
    from pipelines.synthesis.judging import judge_config, judge_sample

    made = (judge_sample(sample, said, config.synthesis) for sample, said in questions())
    samples = {sample.key: sample for sample in made}
    log = ResponseLog(responses_folder(config))
    missing = [sample for key, sample in samples.items() if key not in log.known]
    if missing:
        ask(judge_config(config.synthesis), log, missing)
    log.close()
    answers = [log.known[key] for key in samples if key in log.known]
    usage["requests"], usage["cached"] = len(missing), len(samples) - len(missing)
    usage["input_tokens"] = sum(answer.input_tokens for answer in answers)
    usage["output_tokens"] = sum(answer.output_tokens for answer in answers)
    usage["unanswered"] = len(samples) - len(answers)
    return log.known.get
