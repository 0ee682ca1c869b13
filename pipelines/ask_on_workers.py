"""The paid call as a Beam step: N shards of the requests, each with its share of the limits.

A shard holds the requests whose key falls to it, and has an answer log of its own, so that no
two workers append to one file. An attempt that fails leaves its answers there: the runner's
retry asks only for the rest. Text does not cross a shuffle: a worker reads the samples of its
shard from the working folder.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import storage
from curation.errors import BudgetError, ConfigError
from curation.records import Sample
from curation.synthesis.budget import Usage
from curation.synthesis.client import Client
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.requests import Request, request_for
from curation.synthesis.response_shards import shard_file
from curation.synthesis.responses import ResponseLog
from curation.synthesis.shares import left_of, share_of
from pipelines import runner
from pipelines.asking import Asked, running
from pipelines.config import RunConfig
from pipelines.stored import Elements, StoredJob
from pipelines.terminal import Progress, State, say
from pipelines.work import Tally, Workspace

STEP = "ask"
_KEY_DIGITS = 8  # of the key's 32: enough to spread over 10,000 shards evenly


@dataclass(frozen=True, kw_only=True)
class AskJob(StoredJob):
    """What a worker needs to ask; keys come from its own environment."""

    run: str
    """Names this run: its caps hold over all attempts."""
    config: SynthesisConfig
    workspace: Workspace
    responses: str
    """Folder of the answer logs; all workers write there."""
    sample_paths: tuple[str, ...]


def build_asking(pipeline: beam.Pipeline, job: AskJob) -> None:
    """Add: shard numbers → answers in the log of each shard."""
    shards = range(job.config.ask_on_workers)
    _ = pipeline | "Shards" >> Elements(shards, job.workspace) | "Ask" >> beam.ParDo(Ask(job))


class Ask(beam.DoFn):  # type: ignore[misc]
    """Shard number → nothing but answers in the log; one event loop for all bundles."""

    def __init__(self, job: AskJob) -> None:
        self._job = job

    def setup(self) -> None:
        """Start the event loop of this worker."""
        self._runner = asyncio.Runner()

    def teardown(self) -> None:
        """Close the event loop."""
        self._runner.close()

    def process(self, shard: int) -> None:
        """Ask for the answers of a shard that neither its own log nor the common one holds."""
        job = self._job
        if not os.path.isdir(job.responses):
            raise ConfigError(
                f"a worker does not see {job.responses}; set synthesis.responses to a folder that "
                "all workers share, or synthesis.ask_on_workers = 0"
            )
        log = ResponseLog(job.responses, shard_file(shard))
        log.open()
        try:
            facts = self._ask(shard, log)
        finally:
            log.close()
        job.workspace.write_facts(STEP, _name(shard), facts)

    def _ask(self, shard: int, log: ResponseLog) -> dict[str, Any]:
        """Ask; return what the launcher tells of it."""
        job = self._job
        count = sum(1 for _ in missing(job, shard, log))
        tally = Tally(job.workspace, STEP, _name(shard))
        budget = ""
        try:
            share = left_of(share_of(job.config, shard), used_before(job, shard, log))
            client = Client(share, log, on_answer=lambda n: tally.tick(n / count))
        except BudgetError as error:
            return {"budget": str(error)}
        try:
            if count:
                self._runner.run(client.run(missing(job, shard, log)))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        except BudgetError as error:  # the other shards go on with theirs
            budget = str(error)
        return {
            "asked": client.settled,
            "usage": asdict(client.usage),
            "failures": dict(client.failures),
            "budget": budget,
        }


def _name(shard: int) -> str:
    return f"shard-{shard:05d}"


def used_before(job: AskJob, shard: int, log: ResponseLog) -> Usage:
    """Return what earlier attempts of this run have used of a shard's caps.

    The first attempt stores what the log held: what came since then is this run's.
    """
    total = Usage()
    prices = {f.label: f for f in job.config.all_endpoints()}
    for label, used in log.usage.items():
        tokens = used.input_tokens, used.cached_tokens, used.output_tokens
        usd = prices[label].cost(*tokens) if label in prices else 0.0
        total.add(*tokens, used.reasoning_tokens, usd)
        total.requests += used.requests - 1
    path = job.workspace.path("asked", job.run, f"{_name(shard)}.json")
    if not storage.exists(path):
        storage.write_json(path, asdict(total))
    start = storage.read_json(path)
    return Usage(**{name: value - start[name] for name, value in asdict(total).items()})


def missing(job: AskJob, shard: int, log: ResponseLog) -> Iterator[Request]:
    """Yield the requests of a shard that no log settles.

    An answer that was cut short is copied to the shard's log, where the client follows it up.
    """
    common = ResponseLog(job.responses)
    for path in job.sample_paths:
        for sample in shard_samples(path, shard, job.config.ask_on_workers):
            if log.is_settled(sample.key) or common.is_settled(sample.key):
                continue
            if sample.key not in log and (short := common.get(sample.key)):
                log.append(short)
            yield request_for(sample, job.config)


def shard_of(key: str, shards: int) -> int:
    """Return the shard of a request."""
    return int(key[:_KEY_DIGITS], 16) % shards


def shard_samples(path: str, shard: int, shards: int) -> Iterator[Sample]:
    """Yield the samples of a file that belong to a shard; other rows are not built."""
    if not storage.exists(path):
        return
    with storage.open_read(path) as handle:
        file = pq.ParquetFile(handle)
        for group in range(file.num_row_groups):
            keys = file.read_row_group(group, columns=["key"])["key"].to_pylist()
            own = [number for number, key in enumerate(keys) if shard_of(key, shards) == shard]
            if own:
                table = file.read_row_group(group)
                yield from (Sample(**row) for row in pc.take(table, own).to_pylist())


def ask_on_workers(config: RunConfig, job: Any, responses: str, beam_arguments: list[str]) -> Asked:
    """Have workers ask for what the logs do not hold.

    Raises `BudgetError` once all shards have ended, if one of them met its part of a cap.
    """
    share_of(config.synthesis, 0)  # a limit that cannot be shared is said before anything runs
    log = ResponseLog(responses)
    paths = tuple(job.samples_path(part) for part in job.parts)
    keys = {sample.key for path in paths for sample in shard_samples(path, 0, 1)}
    known = sum(log.is_settled(key) for key in keys)
    if known == len(keys):
        return Asked(Usage(), known=known)
    for kind in ("status", "facts"):
        storage.remove(job.workspace.path(kind, STEP))
    with running(config.synthesis) as served:
        step = AskJob(
            run=uuid.uuid4().hex,
            config=served,
            workspace=job.workspace,
            responses=responses,
            sample_paths=paths,
        )
        shards = config.synthesis.ask_on_workers
        pipeline = runner.create_pipeline(beam_arguments, config.runner.workers, shards)
        build_asking(pipeline, step)
        with Progress("synth", "shards", lambda: _state(job.workspace, shards)):
            runner.run(pipeline)
    return _result(list(job.workspace.facts(STEP)), known)


def _state(workspace: Workspace, shards: int) -> State:
    shares = [status["share"] for status in workspace.statuses(STEP)]
    done = len(storage.list_files(workspace.path("facts", STEP)))
    return State(max(sum(shares), done) / shards, done)


def _result(facts: list[dict[str, Any]], known: int) -> Asked:
    """Tell what the shards met; return what they did."""
    failures = sum((Counter(fact.get("failures", {})) for fact in facts), Counter[str]())
    for problem, count in failures.most_common():
        say(f"  {count:,} requests failed: {problem}; run it again to ask only these")
    usage = Usage()
    for fact in facts:
        for name, amount in fact.get("usage", {}).items():
            setattr(usage, name, getattr(usage, name) + amount)
    if budgets := sorted({fact["budget"] for fact in facts if fact["budget"]}):
        raise BudgetError(f"{len(facts)} workers asked; {budgets[0]}")
    return Asked(usage, sum(fact["asked"] for fact in facts), known)
