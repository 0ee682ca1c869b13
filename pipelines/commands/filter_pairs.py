"""`make filter-pairs`: keep the pairs whose positive an encoder finds again.

A step of its own and not the tail of curate: it needs the encoder (and is best run where a GPU
is), and another `top_k` must not cost a new curation. Ranks are kept in OUT/pair-ranks and
computed once; OUT/consistent-pairs follows from them in seconds.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import manifest, storage
from curation.errors import ConfigError
from curation.records import REJECT, Reject, to_table
from curation.relevance import REASON, is_consistent
from pipelines.commands.common import load_for_encoding, read_config, refuse_beam_options
from pipelines.config import RunConfig, to_dict
from pipelines.report import card
from pipelines.report.markup import share
from pipelines.stage import Stage, label_counts
from pipelines.terminal import Progress, say, table
from pipelines.work import Tally, total_counts

OUTPUTS = ("consistent-pairs", "rejects/filter-pairs")
_WITHOUT_EFFECT_ON_RANKS = ("enabled", "top_k")


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    config = read_config(arguments)
    if config is None:
        return 0
    refuse_beam_options(arguments)
    if not config.relevance.enabled:
        raise ConfigError(
            "relevance.enabled is false, so that later stages would read all pairs and ignore "
            "these; set it in the config or with --set relevance.enabled=true"
        )
    pairs = manifest.read(storage.join(config.out, "pairs"), "make curate")
    if arguments.dry_run:
        say(describe(config, pairs))
        return 0
    if storage.is_url(config.out):
        raise ConfigError(f"out = {config.out!r}: vectors need a local folder for now")
    run(config, pairs)
    return 0


def describe(config: RunConfig, pairs: dict[str, Any]) -> str:
    """Return what would be read and written."""
    relevance = config.relevance
    return (
        f"would rank the positives of {', '.join(relevance.relations)} among {pairs['rows']:,} "
        f"pairs of {config.out}/pairs with {config.model.encoder}, each among up to "
        f"{relevance.pool:,} of equal {' and '.join(relevance.index) or 'anything'},\n"
        f"and keep those of rank {relevance.top_k} or better in {config.out}/consistent-pairs"
    )


def rank_stage(config: RunConfig, pairs: dict[str, Any], folder: str) -> Stage:
    """Return the stage that ranks, with all that the ranks depend on."""
    from pipelines.encoders import describe_encoder

    options = to_dict(config.relevance)
    return Stage(
        name="rank-pairs",
        out=config.out,
        outputs=("pair-ranks",),
        config={
            "relevance": {k: v for k, v in options.items() if k not in _WITHOUT_EFFECT_ON_RANKS},
            "model": to_dict(config.model),
        },
        inputs=[manifest.content_digest(pairs), describe_encoder(folder)],
    )


def filter_stage(config: RunConfig, pairs: dict[str, Any], ranks: dict[str, Any]) -> Stage:
    """Return the stage that decides, with all that its result depends on."""
    return Stage(
        name="filter-pairs",
        out=config.out,
        outputs=OUTPUTS,
        config={"relevance": {"top_k": config.relevance.top_k}},
        inputs=[manifest.content_digest(pairs), manifest.content_digest(ranks)],
    )


def run(config: RunConfig, pairs: dict[str, Any]) -> None:
    """Rank and filter, each unless its outputs are up to date."""
    from pipelines.encoders import encoder_folder

    ranking = rank_stage(config, pairs, encoder_folder(config.model.encoder))
    if not ranking.is_up_to_date():
        rank(config, ranking, pairs)
    ranks = manifest.read(ranking.directory("pair-ranks"), "make filter-pairs")
    stage = filter_stage(config, pairs, ranks)
    if stage.is_up_to_date():
        return
    stage.begin()
    for number, part in enumerate(pairs["parts"]):
        write_part(config, stage, number, str(part["name"]))
    finish(config, stage)


def rank(config: RunConfig, stage: Stage, pairs: dict[str, Any]) -> None:
    """Encode and rank all pairs, and write their ranks beside them."""
    from pipelines import relevance

    stage.begin()
    job = relevance.RankJob(
        config=config.relevance,
        workspace=stage.workspace,
        parts=tuple(manifest.part_paths(storage.join(config.out, "pairs"), pairs)),
        names=tuple(str(part["name"]) for part in pairs["parts"]),
    )
    model, dtype = load_for_encoding(config, config.relevance.dtype, "filter-pairs")
    pools = relevance.plan_pools(job)
    encode_all(job, pools, [int(part["rows"]) for part in pairs["parts"]], model, dtype)
    with Progress("rank pairs", "pairs") as progress:
        ranked, offsets = 0, relevance.part_offsets(job, len(pools.names))
        for index in range(len(pools.names)):
            ranked += relevance.rank_index(job, pools, offsets, index, model.device)
            progress.update((index + 1) / len(pools.names), ranked)
    written = []
    for number, name in enumerate(job.names):
        path = storage.join(stage.directory("pair-ranks"), name)
        written.append(
            storage.write_parquet(path, relevance.ranks_table(job, number)) | {"name": name}
        )
    manifest.publish(stage.directory("pair-ranks"), stage.description("pair-ranks"), written)
    storage.remove(stage.workspace.root)


def encode_all(job: Any, pools: Any, rows: Sequence[int], model: Any, dtype: str) -> None:
    """Encode part by part with a progress line; `rows` are the pairs of each part."""
    from pipelines import relevance

    whole = max(1, sum(rows))
    with Progress("encode pairs", "pairs") as progress:
        for part in range(len(job.parts)):
            before, own = sum(rows[:part]), rows[part]

            def report(texts: int, tokens: int, before: int = before, own: int = own) -> None:
                done = before + min(own, texts / 2)  # a pair has two texts
                progress.update(done / whole, done, f"{tokens:,} tokens of this part")

            relevance.encode_part(job, pools, part, model, dtype, report)
            progress.update((before + own) / whole, before + own)


def write_part(config: RunConfig, stage: Stage, number: int, name: str) -> None:
    """Write what is kept of a part with its ranks, and what is not as rejects."""
    label = f"{number:05d}"
    if stage.workspace.finished("filter", label):
        return
    pairs = _read(storage.join(config.out, "pairs", name))
    ranks = _read(storage.join(config.out, "pair-ranks", name))
    for column in ("consistency_rank", "consistency_score"):
        pairs = pairs.append_column(column, ranks[column])
    places = ranks["consistency_rank"].fill_null(0).to_numpy()
    kept = pa.array(is_consistent(places, config.relevance.top_k))
    good, bad = pairs.filter(kept), pairs.filter(pc.invert(kept))
    tally = Tally(stage.workspace, "filter", label)
    count(tally, "consistent-pairs", good, ["source", "language", "relation"])
    count(tally, f"rejects|{REASON}", bad, ["source", "language"])
    count(tally, "ranked", pairs.filter(pa.array(places > 0)), ["relation"])
    count(tally, "inconsistent", bad, ["relation"])
    written = {
        "consistent-pairs": _write(stage.directory("consistent-pairs"), name, good),
        "rejects/filter-pairs": _write(
            stage.directory("rejects/filter-pairs"), f"part-{label}.parquet", rejects(bad)
        ),
    }
    tally.finish(part=written)


def count(tally: Tally, kind: str, pairs: pa.Table, labels: list[str]) -> None:
    """Count the rows of a table by some of its columns."""
    for row in pairs.group_by(labels).aggregate([([], "count_all")]).to_pylist():
        tally.add(kind, *(str(row[label]) for label in labels), count=row["count_all"])


def rejects(pairs: pa.Table) -> pa.Table:
    """Return pairs that are dropped as rejects, the rank of each as its value."""
    return to_table(
        [
            Reject(
                row["id"],
                "filter-pairs",
                REASON,
                row["source"],
                row["language"],
                str(row["consistency_rank"]),
                row["query"][:200],
            )
            for row in pairs.to_pylist()
        ],
        REJECT,
    )


def _read(path: str) -> pa.Table:
    with storage.open_read(path) as handle:
        return pq.read_table(handle)


def _write(directory: str, name: str, rows: pa.Table) -> dict[str, Any] | None:
    if not rows.num_rows:
        return None
    return storage.write_parquet(storage.join(directory, name), rows) | {"name": name}


def finish(config: RunConfig, stage: Stage) -> None:
    """Publish the folders, store the counts, refresh the card and print the summary."""
    statuses = stage.workspace.statuses("filter")
    for output in OUTPUTS:
        parts = [s["part"][output] for s in statuses if s["part"][output]]
        manifest.publish(stage.directory(output), stage.description(output), parts)
    counts = total_counts(statuses)
    storage.write_json(
        storage.join(stage.out, "reports/filter-pairs.json"),
        {"fingerprint": stage.fingerprint, "counts": dict(counts)},
    )
    if storage.exists(storage.join(stage.out, "reports/curate.json")):
        card.write(stage.out)
    say(summary_table(counts))
    kept = sum(n for _, n in label_counts(counts, "consistent-pairs"))
    dropped = sum(n for _, n in label_counts(counts, "inconsistent"))
    stage.finish(
        f"{kept + dropped:,} pairs",
        f"{kept:,} whose positive ranks in the top {config.relevance.top_k}",
        counts,
    )


def summary_table(counts: Counter[str]) -> str:
    """Return what was ranked and dropped by relation."""
    dropped = dict(label_counts(counts, "inconsistent"))
    rows = [
        [labels[0], f"{n:,}", f"{dropped.get(labels, 0):,}", share(dropped.get(labels, 0), n)]
        for labels, n in label_counts(counts, "ranked")
    ]
    return table(["relation", "ranked", "dropped", "share"], rows)
