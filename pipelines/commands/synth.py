"""`make synth`: sample, ask, check, decide over the whole set, write and report."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from curation import manifest, storage
from curation.errors import ConfigError, InputError
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.judge_requests import judge_config
from pipelines.commands import synth_modes
from pipelines.commands.common import check_runner, read_config
from pipelines.config import RunConfig, to_dict
from pipelines.report import card
from pipelines.stage import Stage, label_counts
from pipelines.terminal import say
from pipelines.work import total_counts

OUTPUTS = ("questions", "rejects/synth")
# What may change without a new question being asked or another one kept.
_WITHOUT_EFFECT = (
    *("base_url", "endpoints", "api_key_env", "concurrency", "rpm", "tpm", "timeout_seconds"),
    *("input_price", "cached_input_price", "output_price", "max_usd", "max_tokens"),
    *("max_requests", "max_attempts", "responses", "ask_on_workers", "batch"),
    *("judge.base_url", "judge.api_key_env", "judge.input_price", "judge.output_price"),
    "round_trip.batch_tokens",
)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    config = read_config(arguments)
    if config is None:
        return 0
    check_runner(arguments, config, {})
    refuse_template(arguments.beam)
    documents = manifest.read(storage.join(config.out, "documents"), "make curate")
    check_endpoint(config.synthesis)
    if config.synthesis.judge.enabled:
        judge_config(config.synthesis)  # raises what would be raised after the questions are paid
    responses_folder(config)
    if synth_modes.run(arguments, config, documents):
        return 0
    if arguments.dry_run:
        from pipelines.synthesis import estimate

        say(estimate.describe(config, documents))
        return 0
    run(config, documents, arguments.beam)
    return 0


def refuse_template(beam_arguments: Sequence[str]) -> None:
    """Raise `ConfigError` where only the first of the two jobs would be written."""
    for option in ("--template_location", "--dry_run"):
        if any(a.startswith(option) for a in beam_arguments):
            raise ConfigError(
                f"{option} does nothing for synth: it asks the model between two jobs, and the "
                "second depends on the answers"
            )


def responses_folder(config: RunConfig) -> str:
    """Return where answers are kept; it is appended to and locked, which no store can do."""
    folder = config.synthesis.responses or storage.join(config.out, "responses")
    if storage.is_url(folder):
        raise ConfigError(
            f"answers cannot be appended to {folder}; set synthesis.responses to a local folder"
        )
    return folder


def check_endpoint(config: SynthesisConfig) -> None:
    """Raise `ConfigError` where no model is named."""
    has_endpoint = bool(config.base_url or config.endpoints)
    if not config.local_server and not (has_endpoint and config.model):
        raise ConfigError(
            "synthesis needs a model: set synthesis.base_url and synthesis.model, "
            "or synthesis.local_server = 'gemma-3-270m'"
        )


def stage_for(config: RunConfig, documents: dict[str, Any]) -> Stage:
    """Return the stage with all that the result depends on."""
    table = to_dict(config.synthesis)
    for option in _WITHOUT_EFFECT:
        section, _, name = option.rpartition(".")
        (table[section] if section else table).pop(name, None)
    model = to_dict(config.model)
    if not config.synthesis.round_trip.enabled:
        table["round_trip"] = {"enabled": False}
        model = {"encoder": config.model.encoder}
    return Stage(
        name="synth",
        out=config.out,
        outputs=OUTPUTS,
        config={"synthesis": table, "model": model},
        inputs=[manifest.content_digest(documents)],
    )


def run(config: RunConfig, documents: dict[str, Any], beam_arguments: list[str]) -> None:
    """Write questions, unless they are up to date."""
    stage = stage_for(config, documents)
    unanswered = has_unanswered(stage)
    if not unanswered and stage.is_up_to_date():
        return
    from pipelines.commands import synth_decisions

    synth_decisions.check_encoder(config)
    for output in stage.outputs if unanswered else ():
        storage.remove(stage.directory(output))
    stage.begin()
    job = draw_samples(stage, config, documents, beam_arguments)
    usage, spent = generate(config, job, beam_arguments)
    if usage["requests"]:
        start_over(stage)
    run_job(config, job, "checking", beam_arguments)
    judged = synth_decisions.decide(config, job, spent)
    if judged["requests"]:
        start_over(stage)
    run_job(config, job, "writing", beam_arguments)
    finish(config, stage, job, {"questions": usage, "judge": judged})


def start_over(stage: Stage) -> None:
    """Forget what a killed run made of fewer answers; the samples stay."""
    storage.remove(stage.workspace.path("status"))
    for output in stage.outputs:
        storage.remove(stage.directory(output))
    stage.begin()


def draw_samples(
    stage: Stage, config: RunConfig, documents: dict[str, Any], beam_arguments: list[str]
) -> Any:
    """Write the samples with their prompts into the working folder; return the job."""
    from pipelines import synth
    from pipelines.encoders import ship_tokenizer

    job = synth.SynthJob(
        config=config.synthesis,
        tokenizer=ship_tokenizer(config.model.encoder, stage.workspace),
        workspace=stage.workspace,
        out=config.out,
        parts=tuple(str(part["name"]) for part in documents["parts"]),
        descriptions={output: stage.description(output) for output in OUTPUTS},
    )
    marker = stage.workspace.path("sampled.json")
    if not storage.exists(marker):
        run_job(config, job, "sampling", beam_arguments)
        storage.write_json(marker, {"parts": len(job.sampled_parts())})
    return job


def run_job(config: RunConfig, job: Any, name: str, beam_arguments: list[str]) -> None:
    """Run one of the three Beam jobs."""
    from pipelines import runner
    from pipelines.synthesis import checking, sampling, writing

    jobs = {
        "sampling": sampling.build_sampling,
        "checking": checking.build_checking,
        "writing": writing.build_writing,
    }
    pipeline = runner.create_pipeline(beam_arguments, config.runner.workers, len(job.parts))
    jobs[name](pipeline, job)
    runner.run(pipeline)


def has_unanswered(stage: Stage) -> bool:
    """Tell whether the last run of the same stage ended without some of the answers."""
    path = storage.join(stage.out, "reports/synth.json")
    report = storage.read_json(path) if storage.exists(path) else {}
    return report.get("fingerprint") == stage.fingerprint and report["totals"]["unanswered"] > 0


def finish(config: RunConfig, stage: Stage, job: Any, usage: dict[str, Any]) -> None:
    """Write the report, refresh the card and print the summary."""
    from pipelines.report import synth as report

    workspace = stage.workspace
    counts = sum(
        (total_counts(workspace.statuses(s)) for s in ("samples", "pair", "write-questions")),
        Counter(),
    )
    found = report.write(stage, job, counts, usage)
    if storage.exists(storage.join(stage.out, "reports/curate.json")):
        card.write(stage.out)
    asked, totals = usage["questions"], found["totals"]
    kept = {
        relation: n
        for relation in ("question-document", "question-passage")
        if (
            n := sum(c for labels, c in label_counts(counts, "questions") if labels[-1] == relation)
        )
    }
    wrote = ", ".join(f"{n:,} {relation} pairs" for relation, n in kept.items()) or "0 questions"
    stage.finish(
        f"{totals['documents']:,} documents ({asked['requests']:,} answers asked, "
        f"{asked['cached']:,} kept from before; {totals['input_tokens']:,} + "
        f"{totals['output_tokens']:,} tokens)",
        wrote,
        counts,
    )


def generate(config: RunConfig, job: Any, beam_arguments: list[str]) -> tuple[Counter[str], Any]:
    """Ask for the answers that the log does not hold.

    Returns requests and tokens of all answers, and the `Usage` of this run.
    """
    from curation.synthesis.response_shards import open_log
    from pipelines.ask_on_workers import ask_on_workers
    from pipelines.asking import ask
    from pipelines.synth import count_samples, write_answers

    total = count_samples(job)
    if not total:
        raise InputError(no_document(job.config))
    folder = responses_folder(config)
    log = open_log(folder)
    if config.synthesis.ask_on_workers:
        asked = ask_on_workers(config, job, folder, beam_arguments)
        log = open_log(folder)
    else:
        asked = ask(config.synthesis, log, _requests(job), total)
    counted = Counter(requests=asked.asked, cached=asked.known)
    counted.update(write_answers(job, log))
    return counted, asked.usage


def no_document(config: SynthesisConfig) -> str:
    """Return the message for a corpus of which nothing can be asked."""
    return (
        "no document fits synthesis.min_document_characters "
        f"= {config.min_document_characters} .. max_document_characters "
        f"= {config.max_document_characters} and has a prompt in its language"
    )


def _requests(job: Any) -> Iterator[Any]:
    from curation.synthesis.requests import request_for
    from pipelines.synth import all_samples

    return (request_for(sample, job.config) for sample in all_samples(job))
