"""`make synth ARGS="--batch submit|status|collect|write"`: the paid call as batches."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from curation import storage
from curation.errors import BudgetError, ConfigError
from curation.synthesis import batch_files
from curation.synthesis.batch import BatchService
from curation.synthesis.batch_budget import BatchEstimate
from curation.synthesis.batch_rows import Harvest, collect_file
from curation.synthesis.batch_state import FINAL, Batch, BatchFolder
from curation.synthesis.endpoints import EndpointConfig, key_of
from curation.synthesis.requests import Request, kind_of, request_for
from curation.synthesis.response_shards import open_log
from curation.synthesis.responses import ResponseLog
from pipelines.commands import synth
from pipelines.commands.common import refuse_beam_options
from pipelines.config import RunConfig
from pipelines.terminal import say, table

OUTCOMES = ("answered", "repeated", "unknown", "malformed", "failed")


def run(arguments: argparse.Namespace, config: RunConfig, documents: dict[str, Any]) -> None:
    """Do what `--batch` says."""
    if arguments.batch in ("status", "collect"):
        refuse_beam_options(arguments)
    if arguments.batch == "write":
        write(config, documents, arguments.beam)
    elif arguments.batch_output:
        collect_local(config, arguments.batch_output)
    elif arguments.batch == "submit":
        submit(config, documents, arguments.beam)
    elif arguments.batch == "status":
        status(config)
    else:
        collect(config)


def folder_of(config: RunConfig) -> BatchFolder:
    """Return the batches of a run."""
    return BatchFolder.load(storage.join(config.out, "batches"))


def local_folder(config: RunConfig) -> str:
    """Return where files for `vllm run-batch` are written."""
    return storage.join(config.out, "batches/vllm")


def write(config: RunConfig, documents: dict[str, Any], beam_arguments: list[str]) -> None:
    """Write request files for `vllm run-batch` and print its command."""
    if kind_of(config.synthesis) == "completion":
        raise ConfigError(
            "vllm run-batch takes chat completions only, and synthesis.prompt = 'base' asks for "
            "plain ones: set synthesis.prompt = 'instruct' for a model with a chat template, or "
            "start `vllm serve` and set synthesis.base_url"
        )
    log = open_log(synth.responses_folder(config))
    requests = missing(config, documents, beam_arguments, log, set())
    folder = local_folder(config)
    files = batch_files.write_files(requests, folder, config.synthesis.batch)
    names = {file.name for file in files}
    for path in storage.list_files(folder, ".jsonl"):
        name = path.rsplit("/", 1)[-1]
        if name.startswith("requests-") and name not in names:
            storage.remove(path)
    say(f"synth: wrote {sum(f.requests for f in files):,} requests to {len(files)} files; run:")
    for file in files:
        source = storage.join(folder, file.name)
        target = storage.join(folder, file.name.replace("requests-", "output-"))
        quoted = [shlex.quote(word) for word in (source, target, file.model)]
        say("  vllm run-batch -i {} -o {} --model {}".format(*quoted))
    pattern = storage.join(folder, "output-*.jsonl")
    say(f"and then: make synth ARGS=\"--batch collect --batch-output '{pattern}'\"")


def collect_local(config: RunConfig, pattern: str) -> None:
    """Read output files of `vllm run-batch` into the log."""
    sources = storage.list_files(local_folder(config), ".jsonl")
    keys = {
        key
        for path in sources
        if path.rsplit("/", 1)[-1].startswith("requests-")
        for key in batch_files.read_keys(path)
    }
    log = open_log(synth.responses_folder(config))
    rows, problems = [], Harvest.empty()
    for path in storage.expand(pattern):
        harvest = Harvest.empty()
        collect_file(path, keys, "vllm run-batch", log, harvest)
        rows.append([path.rsplit("/", 1)[-1], *_outcomes(harvest)])
        problems.problems.update(harvest.problems)
    log.close()
    say(table(("file", *OUTCOMES), rows))
    _say_problems(problems)
    left, short = _unsettled(keys, log)
    _say_left(left, short, len(keys), "--batch write")


def submit(config: RunConfig, documents: dict[str, Any], beam_arguments: list[str]) -> None:
    """Send what is neither answered nor on its way."""
    endpoint = hosted_endpoint(config)
    folder = folder_of(config)
    check_base_url(endpoint, folder)
    write_missing(config, endpoint, folder, documents, beam_arguments)
    waiting = [batch for batch in folder.batches if not batch.batch_id]
    if not waiting:
        say("synth: nothing to submit: all requests are answered or on their way")
        return
    with service(config, endpoint) as hosted:
        hosted.submit(folder, _say_submitted)
    say(
        f"synth: submitted {sum(b.requests for b in waiting):,} requests in {len(waiting)} "
        'batches; next: make synth ARGS="--batch status", then --batch collect'
    )


def write_missing(
    config: RunConfig,
    endpoint: EndpointConfig,
    folder: BatchFolder,
    documents: dict[str, Any],
    beam_arguments: list[str],
) -> None:
    """Write and record files of what is neither answered nor on its way.

    Raises `BudgetError` where a cap may be passed; then nothing is recorded.
    """
    folder.remove_unrecorded()
    log = open_log(synth.responses_folder(config))
    requests = missing(config, documents, beam_arguments, log, folder.keys_on_their_way())
    if endpoint.model:
        named = {"model": endpoint.model}
        requests = (replace(request, body=request.body | named) for request in requests)
    estimate = BatchEstimate(config.synthesis, endpoint)
    options, first = config.synthesis.batch, len(folder.batches)
    try:
        counted = estimate.counted(requests)
        files = batch_files.write_files(counted, folder.path, options, first)
    except BudgetError:
        folder.remove_unrecorded()
        raise
    folder.add(files, endpoint.base_url)
    if files:
        cost = f", ${estimate.usd:.2f}" if endpoint.is_priced else ""
        say(f"  {estimate.requests:,} requests, at most about {estimate.tokens:,} tokens{cost}")


def status(config: RunConfig) -> None:
    """Show where the batches stand."""
    endpoint = hosted_endpoint(config)
    folder = folder_of(config)
    if not folder.batches:
        say("synth: no batch was submitted; submit with: --batch submit")
        return
    check_base_url(endpoint, folder)
    with service(config, endpoint) as hosted:
        refresh(hosted, folder)
    header = ("batch", "status", "requests", "completed", "failed", "id")
    say(table(header, [_status_row(batch) for batch in folder.batches]))
    for batch in folder.batches:
        _say_errors(batch)
    if ready := [b for b in folder.batches if b.status in FINAL and not b.collected]:
        say(f'{len(ready)} to collect: make synth ARGS="--batch collect"')


def collect(config: RunConfig) -> None:
    """Take the answers of all batches that have ended into the log."""
    endpoint = hosted_endpoint(config)
    folder = folder_of(config)
    check_base_url(endpoint, folder)
    log = open_log(synth.responses_folder(config))
    rows, total, left, short, sent = [], Harvest.empty(), 0, 0, 0
    with service(config, endpoint) as hosted:
        refresh(hosted, folder)
        for batch in folder.batches:
            if batch.collected or batch.status not in FINAL:
                continue
            _say_errors(batch)
            keys = set(batch_files.read_keys(folder.file(batch.file)))
            harvest = fetch(hosted, folder, batch, keys, log)
            total.problems.update(harvest.problems)
            rows.append([batch.file, *_outcomes(harvest)])
            unanswered, cut = _unsettled(keys, log)
            left, short, sent = left + unanswered, short + cut, sent + len(keys)
            batch.collected = True
            folder.save()
    log.close()
    if rows:
        say(table(("batch", *OUTCOMES), rows))
        _say_problems(total)
        _say_left(left, short, sent, "--batch submit")
    if waiting := sum(not batch.collected for batch in folder.batches):
        say(f"{waiting} batches have not ended; see them with: --batch status")


def fetch(
    hosted: BatchService, folder: BatchFolder, batch: Batch, keys: set[str], log: ResponseLog
) -> Harvest:
    """Download a batch's output and error file, each if there is one, and read them."""
    harvest = Harvest.empty()
    files = {"output": batch.output_file_id, "errors": batch.error_file_id}
    for name, file_id in files.items():
        path = folder.file(batch.file.replace("requests-", f"{name}-"))
        if file_id and hosted.download(file_id, path):
            collect_file(path, keys, f"{hosted.endpoint.label} batch", log, harvest)
        elif file_id:
            say(f"  {batch.file}: its file {file_id} is gone (kept 30 days by the service)")
    return harvest


def missing(
    config: RunConfig,
    documents: dict[str, Any],
    beam_arguments: list[str],
    log: ResponseLog,
    seen: set[str],
) -> Iterator[Request]:
    """Draw the samples; yield the requests that are neither in the log nor in `seen`, once."""
    from pipelines.synth import all_samples

    stage = synth.stage_for(config, documents)
    job = synth.draw_samples(stage, config, documents, beam_arguments)
    for sample in all_samples(job):
        if sample.key not in log and sample.key not in seen:
            seen.add(sample.key)
            yield request_for(sample, config.synthesis)


def service(config: RunConfig, endpoint: EndpointConfig) -> BatchService:
    """Return a connection with the key of the environment."""
    key = key_of(endpoint, os.environ)
    return BatchService(endpoint, key, config.synthesis.timeout_seconds)


def refresh(hosted: BatchService, folder: BatchFolder) -> None:
    """Ask the service about the batches that are not collected; store what it says."""
    for batch in folder.batches:
        if batch.batch_id and not batch.collected:
            hosted.refresh(batch)
    folder.save()


def hosted_endpoint(config: RunConfig) -> EndpointConfig:
    """Return the one service that batches go to; raise `ConfigError` where there is none."""
    endpoints = config.synthesis.all_endpoints()
    if len(endpoints) != 1:
        raise ConfigError(
            "a Batch API is one hosted service: set synthesis.base_url and synthesis.model, not "
            "synthesis.local_server or several endpoints; or write files for vllm run-batch with "
            "--batch write"
        )
    return endpoints[0]


def check_base_url(endpoint: EndpointConfig, folder: BatchFolder) -> None:
    """Raise `ConfigError` where batches under way belong to another service."""
    for batch in folder.batches:
        if not batch.collected and batch.base_url != endpoint.base_url:
            raise ConfigError(
                f"{batch.file} was made for {batch.base_url}; collect it with "
                f"--set synthesis.base_url={batch.base_url} first"
            )


def _outcomes(harvest: Harvest) -> list[str]:
    return [f"{harvest.outcomes[name]:,}" for name in OUTCOMES]


def _status_row(batch: Batch) -> list[str]:
    shown = "collected" if batch.collected else batch.status
    counts = (batch.requests, batch.completed, batch.failed)
    return [batch.file, shown, *(f"{n:,}" for n in counts), batch.batch_id or "-"]


def _say_submitted(batch: Batch) -> None:
    say(f"  {batch.file}: {batch.requests:,} requests as {batch.batch_id}")


def _say_errors(batch: Batch) -> None:
    for error in batch.errors[:3]:
        say(f"  {batch.file} {batch.status}: {error}")
    if len(batch.errors) > 3:
        say(f"  {batch.file}: {len(batch.errors) - 3} more errors")


def _say_problems(harvest: Harvest) -> None:
    for problem, count in harvest.problems.most_common(5):
        say(f"  {count:,} failed: {problem}")


def _unsettled(keys: set[str], log: ResponseLog) -> tuple[int, int]:
    """Return how many requests have no answer, and how many one that was cut short."""
    left = sum(key not in log for key in keys)
    return left, sum(not log.is_settled(key) for key in keys) - left


def _say_left(left: int, short: int, sent: int, option: str) -> None:
    again = f'make synth ARGS="{option}", or make synth to ask online'
    rest = f"{left:,} have to be asked again: {again}" if left else "next: make synth"
    say(f"synth: {sent - left:,} of {sent:,} requests are answered; {rest}")
    if short:
        say(f"  {short:,} were cut short: make synth asks these again, with twice the tokens")
