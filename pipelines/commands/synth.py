"""`make synth`: sample, ask, check, decide over the whole set, write and report."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from curation import manifest, storage
from curation.errors import ConfigError, InputError
from curation.synthesis.config import SynthesisConfig
from pipelines.commands.common import check_runner, read_config
from pipelines.config import RunConfig, to_dict
from pipelines.report import card
from pipelines.stage import Stage, label_counts
from pipelines.terminal import Progress, say
from pipelines.work import total_counts

OUTPUTS = ("questions", "rejects/synth")
# What may change without a new question being asked or another one kept.
_WITHOUT_EFFECT = (
    "concurrency",
    "timeout_seconds",
    "max_attempts",
    "api_key_env",
    "responses",
    "judge.api_key_env",
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
    responses_folder(config)
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
    if not config.local_server and not (config.base_url and config.model):
        raise ConfigError(
            "synthesis needs a model: set synthesis.base_url and synthesis.model, "
            "or synthesis.local_server = 'gemma-3-270m'"
        )


def stage_for(config: RunConfig, documents: dict[str, Any]) -> Stage:
    """Return the stage with all that the result depends on."""
    table = to_dict(config.synthesis)
    for option in _WITHOUT_EFFECT:
        section, _, name = option.rpartition(".")
        (table[section] if section else table).pop(name)
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

    for output in stage.outputs if unanswered else ():
        storage.remove(stage.directory(output))
    stage.begin()
    job = draw_samples(stage, config, documents, beam_arguments)
    usage = generate(config, job)
    run_job(config, job, "checking", beam_arguments)
    judged = synth_decisions.decide(config, job)
    run_job(config, job, "writing", beam_arguments)
    finish(config, stage, job, {"questions": usage, "judge": judged})


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


def finish(config: RunConfig, stage: Stage, job: Any, usage: dict[str, Counter[str]]) -> None:
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


def generate(config: RunConfig, job: Any) -> Counter[str]:
    """Ask for the answers that the log does not hold; return requests and tokens."""
    from curation.synthesis.responses import ResponseLog
    from pipelines.synth import read_samples, write_answers

    samples = [
        sample
        for part in job.parts
        if storage.exists(job.samples_path(part))
        for sample in read_samples(job.samples_path(part))
    ]
    if not samples:
        raise InputError(
            "no document fits synthesis.min_document_characters "
            f"= {job.config.min_document_characters} .. max_document_characters "
            f"= {job.config.max_document_characters} and has a prompt in its language"
        )
    log = ResponseLog(responses_folder(config))
    missing = [sample for sample in samples if sample.key not in log.known]
    usage = Counter({"requests": len(missing), "cached": len(samples) - len(missing)})
    if missing:
        ask(config.synthesis, log, missing)
    log.close()
    answers = [log.known[s.key] for s in samples if s.key in log.known]
    usage["input_tokens"] = sum(answer.input_tokens for answer in answers)
    usage["output_tokens"] = sum(answer.output_tokens for answer in answers)
    write_answers(job, log.known)
    return usage


def ask(config: SynthesisConfig, log: Any, samples: Sequence[Any]) -> None:
    """Send the requests with a progress line."""
    from curation.synthesis.client import Client
    from curation.synthesis.requests import request_for

    requests = [request_for(sample, config) for sample in samples]
    with endpoint(config) as url, Progress("synth", "answers") as progress:

        def show(settled: int) -> None:
            failed = f"{client.failures.total()} failed" if client.failures else ""
            progress.update(settled / len(requests), settled, failed)

        client = Client(
            config=config,
            base_url=url,
            api_key=os.environ.get(config.api_key_env) or "none",
            log=log,
            on_answer=show,
        )
        client.ask_all(requests)
    for problem, count in client.failures.most_common():
        say(
            f"  {count} requests failed after {config.max_attempts} attempts: {problem}; "
            "run it again to ask only these"
        )


@contextmanager
def endpoint(config: SynthesisConfig) -> Iterator[str]:
    """Yield the base URL, of a local server that runs for the block where one is configured."""
    if not config.local_server:
        yield config.base_url
        return
    from pipelines.demo import llm_server

    with llm_server.running(config.local_server) as url:
        yield url
