"""`make mine-negatives`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash

from curation import manifest, storage
from curation.errors import ConfigError
from curation.records import REJECT, TRAINING_ROW, Reject, to_table
from pipelines.commands.common import check_runner, read_config
from pipelines.config import RunConfig, to_dict
from pipelines.stage import Stage
from pipelines.terminal import say

OUTPUTS = ("training", "pool", "rejects/mine-negatives")
STARVED = "starved"
"""The reason of rows that are dropped."""
_ROWS_PER_RUN = 5000


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from pipelines.mining_inputs import input_manifests

    config = read_config(arguments)
    if config is None:
        return 0
    check_runner(arguments, config, {})
    sources = input_manifests(config)
    if arguments.dry_run:
        say_plan(config, sources)
        return 0
    run(config, sources, arguments.beam)
    return 0


def say_plan(config: RunConfig, sources: dict[str, dict[str, Any]]) -> None:
    """Say what would be read and done."""
    from pipelines.mining_inputs import corpus_files

    options = config.mining
    rows = ", ".join(f"{m['rows']:,} {name}" for name, m in sources.items())
    files = corpus_files(config)
    say(f"would read {rows} of {config.out}")
    if files:
        say(f"would search the passages of {len(files):,} further files too: {', '.join(files)}")
    say(
        f"would take {options.negatives} negatives each ({options.negatives_from}) for the "
        f"relations {', '.join(options.relations)} and write {config.out}/training"
    )
    say("  " + how_mined(config))


def how_mined(config: RunConfig) -> str:
    """Return in a sentence how negatives are found and chosen."""
    options = config.mining
    if options.negatives_from != "mined":
        return f"negatives: {options.negatives_from}, beside those that data sets name"
    margins = {
        "max_positive_ratio": options.max_positive_ratio or None,
        "absolute_margin": options.absolute_margin,
        "max_score": options.max_score,
    }
    listed = ", ".join(f"{name} {value:g}" for name, value in margins.items() if value is not None)
    rescore = "" if options.rescore.by == "none" else f", rescored by {options.rescore.by}"
    deeper = f", up to {options.max_depth} where too few survive" if options.max_depth else ""
    return (
        f"{options.depth} candidates of {'+'.join(options.sources)}{deeper}{rescore}; "
        f"filters: {', '.join(options.filters) or 'none'}; margins: {listed or 'none'}; "
        f"{options.sampling} of the survivors; starved: {options.starved}"
    )


def stage_for(config: RunConfig, sources: dict[str, dict[str, Any]]) -> Stage:
    """Return the stage with all that the result depends on."""
    from pipelines.encoders import describe_encoder, encoder_folder
    from pipelines.mining_inputs import corpus_files, link_digests

    inputs: list[Any] = [{name: manifest.content_digest(m)} for name, m in sources.items()]
    inputs += [storage.describe_file(path) for path in corpus_files(config)]
    inputs += link_digests(config)
    inputs += describe_encoder(encoder_folder(config.model.encoder))  # new weights, same name
    if config.mining.rescore.cross_encoder:
        inputs += describe_encoder(config.mining.rescore.cross_encoder)
    return Stage(
        name="mine-negatives",
        out=config.out,
        outputs=OUTPUTS,
        config={
            "mining": to_dict(config.mining),
            "model": to_dict(config.model),
            "splits": to_dict(config.splits),
        },
        inputs=inputs,
    )


def run(config: RunConfig, sources: dict[str, dict[str, Any]], beam_arguments: list[str]) -> None:
    """Mine, unless the output is up to date."""
    stage = stage_for(config, sources)
    if os.environ.get("WORLD_SIZE", "1") != "1":
        run_together(config, stage, sources, beam_arguments)
    elif not stage.is_up_to_date():
        mine_rows(config, stage, sources, beam_arguments)


def run_together(
    config: RunConfig, stage: Stage, sources: dict[str, dict[str, Any]], beam_arguments: list[str]
) -> None:
    """Mine as one of the processes of `torchrun`: all encode, the first does everything else."""
    from pipelines.mining_inputs import read_pool
    from pipelines.mining_search import encode_pool
    from train import launch

    if config.mining.on_workers:
        raise ConfigError(
            "mining.on_workers = true encodes on the workers of Beam; start it without torchrun, "
            "or set it to false"
        )
    with launch.processes():
        first = launch.rank() == 0
        if launch.first_says(first and stage.is_up_to_date()):
            return
        if first:
            mine_rows(config, stage, sources, beam_arguments)
        elif config.mining.negatives_from == "mined":
            encode_pool(config, read_pool(config, sources))


def mine_rows(
    config: RunConfig, stage: Stage, sources: dict[str, dict[str, Any]], beam_arguments: list[str]
) -> None:
    """Mine and write the rows."""
    from pipelines.mining_inputs import read_pool
    from pipelines.mining_search import mine_pool

    stage.begin()
    pool = read_pool(config, sources)
    result = mine_pool(config, stage, pool, beam_arguments)
    kept = kept_rows(result, config)
    runs = spill_rows(config, stage, result, np.flatnonzero(kept))
    if not write_shards(config, stage, runs, beam_arguments):
        return
    publish_pool(stage, result)
    write_rejects(stage, result, np.flatnonzero(~kept))
    finish(config, stage, result, kept)


def kept_rows(result: Any, config: RunConfig) -> Any:
    """Return the (Q,) mask of rows that become training rows."""
    from mining.negatives import needed

    everyone = np.arange(len(result.pool))
    if config.mining.starved != "drop":
        return np.ones(len(everyone), np.bool_)
    return result.mined.counts >= needed(result.pool, everyone, config.mining)


def spill_rows(config: RunConfig, stage: Stage, result: Any, rows: Any) -> list[str]:
    """Write the training rows as sorted runs; return their paths."""
    from curation.runs import SUFFIX, write_run
    from curation.tokens import TokenCounter, length_keys
    from pipelines.encoders import encoder_folder
    from pipelines.mining_rows import Lengths, negatives_of, table_of

    counter = TokenCounter(encoder_folder(config.model.encoder))
    lengths = Lengths(result.pool, counter, config.model)
    paths = []
    for start in range(0, len(rows), _ROWS_PER_RUN):
        some = rows[start : start + _ROWS_PER_RUN]
        longest = lengths.of(some, negatives_of(result, some)[0])
        table = table_of(result, some, longest)
        digests = [xxhash.xxh3_128_digest(i.encode()) for i in table["id"].to_pylist()]
        path = stage.workspace.path("runs", "training", f"rows-{start:09d}{SUFFIX}")
        write_run(path, table, length_keys(longest, digests))
        paths.append(path)
    return paths


def write_shards(
    config: RunConfig, stage: Stage, runs: Sequence[str], beam_arguments: list[str]
) -> bool:
    """Write the runs as length-sorted shards; False where only the job was written."""
    from curation import tokens
    from pipelines import runner
    from pipelines.parts import PartPlan
    from pipelines.shards import build

    plan = PartPlan(
        kind="training",
        directory=stage.directory("training"),
        schema=TRAINING_ROW,
        part_bytes=int(config.mining.part_mb * (1 << 20)),
        description=stage.description("training"),
        names=tokens.length_part_names,
        boundaries=tuple(tokens.bucket_boundaries()),
        row_group_rows=512,
    )
    pipeline = runner.create_pipeline(beam_arguments, config.runner.workers, len(runs))
    build(pipeline, runs, plan, stage.workspace)
    return runner.run(pipeline)


def publish_pool(stage: Stage, result: Any) -> None:
    """Write the passages and what is known of them: a training mines in them anew ([ance])."""
    from mining.stored_pool import save
    from pipelines.mining_rows import negatives_of

    directory = stage.directory("pool")
    mined, _ = negatives_of(result, np.arange(len(result.pool)))
    parts = save(directory, result.pool, mined)
    manifest.publish(directory, stage.description("pool"), parts)


def write_rejects(stage: Stage, result: Any, rows: Any) -> None:
    """Write the rows that were dropped, with the number of candidates that survived for each."""
    directory = stage.directory(OUTPUTS[2])
    listed = result.pool.rows.take(rows).to_pylist()
    survivors = result.mined.survivors[rows].tolist()
    rejects = [
        Reject(
            row["id"],
            "mine-negatives",
            STARVED,
            row["source"],
            row["language"],
            str(count),
            row["query"][:200],
        )
        for row, count in zip(listed, survivors, strict=True)
    ]
    parts = []
    if rejects:
        name = "part-00000.parquet"
        written = storage.write_parquet(storage.join(directory, name), to_table(rejects, REJECT))
        parts.append(written | {"name": name})
    manifest.publish(directory, stage.description(OUTPUTS[2]), parts)


def finish(config: RunConfig, stage: Stage, result: Any, kept: Any) -> None:
    """Write the facts and the report of the run, and print the summary."""
    from pipelines.mining_facts import facts_of
    from pipelines.report.mining import page

    facts = facts_of(result, kept, config.mining)
    facts |= {
        "name": os.path.basename(config.out.rstrip("/")) or config.out,
        "how": how_mined(config),
        "fingerprint": stage.fingerprint,
        "versions": manifest.versions(),
    }
    facts["counts"] = {f"removed|{name}": n for name, n in facts["removed"].items()}
    storage.write_json(storage.join(stage.out, "reports/mine-negatives.json"), facts)
    storage.write_bytes(
        storage.join(stage.out, "reports/mine-negatives.html"), page(facts).encode()
    )
    say_summary(stage, facts)


def say_summary(stage: Stage, facts: dict[str, Any]) -> None:
    """Print what was read and written, what was removed and who starved."""
    found = facts["totals"]
    stage.finish(
        f"{found['rows'] + found['dropped']:,} rows and {found['passages']:,} passages",
        f"{found['rows']:,} training rows with {found['negatives']:,} negatives",
    )
    shown = ", ".join(f"{name} {n:,}" for name, n in facts["removed"].items() if n)
    if shown:
        say(f"  candidates removed: {shown}")
    starved = {n: found[n] for n in ("short", "filled", "dropped") if found[n]}
    if starved:
        named = {"short": "with fewer", "filled": "filled at random", "dropped": "dropped"}
        say("  starved rows: " + ", ".join(f"{named[n]} {count:,}" for n, count in starved.items()))
    say(f"  to read: {stage.out}/reports/mine-negatives.html")
