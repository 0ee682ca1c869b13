"""`make mine-negatives`."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from curation import manifest, storage
from curation.errors import ConfigError
from curation.labelled import NOT_MINED
from curation.records import TRAINING_ROW, TrainingRow, to_table
from pipelines.commands.common import check_runner, read_config
from pipelines.config import RunConfig, to_dict
from pipelines.stage import Stage
from pipelines.terminal import say

Vectors = Any

OUTPUTS = ("training", "pool")
_ROWS_PER_RUN = 5000


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    config = read_config(arguments)
    if config is None:
        return 0
    check_runner(arguments, config, {})
    sources = input_manifests(config)
    if arguments.dry_run:
        rows = ", ".join(f"{m['rows']:,} {name}" for name, m in sources.items())
        say(f"would read {rows} of {config.out}")
        say(
            f"would mine {config.mining.negatives} negatives each for the relations "
            f"{', '.join(config.mining.relations)} and write {config.out}/training"
        )
        return 0
    run(config, sources, arguments.beam)
    return 0


def input_manifests(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Return the manifests of the folders that hold the wanted relations."""
    relations = set(config.mining.relations) - {"labelled"}
    wanted = {}
    if any(relation.startswith("question-") for relation in relations):
        wanted["questions"] = "make synth"
    if any(not relation.startswith("question-") for relation in relations):
        filtered = config.relevance.enabled
        wanted |= (
            {"consistent-pairs": "make filter-pairs"} if filtered else {"pairs": "make curate"}
        )
    if takes_labelled(config):
        wanted["labelled"] = "make curate"
    if not wanted:
        raise ConfigError(
            f"mining.relations = {list(config.mining.relations)!r} names nothing to mine for: "
            "no source of the config is labelled"
        )
    return {
        name: manifest.read(storage.join(config.out, name), command)
        for name, command in wanted.items()
    }


def takes_labelled(config: RunConfig) -> bool:
    """Tell whether labelled rows are wanted and some source gives them."""
    wanted = "labelled" in config.mining.relations
    return wanted and any(source.gives_labelled for source in config.curation.sources)


def stage_for(config: RunConfig, sources: dict[str, dict[str, Any]]) -> Stage:
    """Return the stage with all that the result depends on."""
    return Stage(
        name="mine-negatives",
        out=config.out,
        outputs=OUTPUTS,
        config={
            "mining": to_dict(config.mining),
            "model": to_dict(config.model),
            "splits": to_dict(config.splits),
        },
        inputs=[{name: manifest.content_digest(m)} for name, m in sources.items()],
    )


def run(config: RunConfig, sources: dict[str, dict[str, Any]], beam_arguments: list[str]) -> None:
    """Mine, unless the output is up to date."""
    stage = stage_for(config, sources)
    if stage.is_up_to_date():
        return
    from mining.pool import build_pool

    stage.begin()
    rows = chosen_rows(config, sources)
    pool = build_pool(rows, config.mining.negatives)
    chosen, found, vectors = mine(config, stage, pool)
    runs = spill_rows(config, stage, pool, chosen, found, vectors)
    publish_pool(stage, pool, chosen)
    if not write_shards(config, stage, runs, beam_arguments):
        return
    counts = Counter({f"removed|{name}": n for name, n in chosen.removed.items()})
    storage.write_json(
        storage.join(stage.out, "reports/mine-negatives.json"),
        {"fingerprint": stage.fingerprint, "counts": dict(counts)},
    )
    negatives = int((chosen.ids >= 0).sum())
    removed = ", ".join(f"{name} {n:,}" for name, n in chosen.removed.items() if n)
    stage.finish(
        f"{len(rows):,} rows and {len(pool.passages):,} passages",
        f"{len(rows):,} training rows with {negatives:,} negatives",
    )
    if removed:
        say(f"  candidates removed: {removed}")


def publish_pool(stage: Stage, pool: Any, chosen: Any) -> None:
    """Write the passages and what is known of them: a training mines in them anew ([ance])."""
    from mining.refresh import with_labelled
    from mining.stored_pool import save

    directory = stage.directory("pool")
    parts = save(directory, pool, with_labelled(pool.negatives, chosen.ids))
    manifest.publish(directory, stage.description("pool"), parts)


def chosen_rows(config: RunConfig, sources: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows to mine for: pairs, questions and labelled rows, ordered by id."""
    from mining.pool import select_labelled, select_rows

    paths = {
        name: manifest.part_paths(storage.join(config.out, name), listed)
        for name, listed in sources.items()
    }
    labelled = select_labelled(paths.pop("labelled", []), config.mining.limits)
    listed = [path for found in paths.values() for path in found]
    rows = select_rows(listed, config.mining.relations, config.mining.limits, config.splits)
    return sorted(rows + labelled, key=lambda row: str(row["id"]))


def mine(config: RunConfig, stage: Stage, pool: Any) -> tuple[Any, Any, Any]:
    """Encode, search and choose; vectors stay in the cache."""
    from mining.index import DenseIndex
    from mining.negatives import choose
    from pipelines.vectors import encode_listed, part_encoder

    encoder = part_encoder(config, "mine-negatives")
    texts = {"queries": [row["query"] for row in pool.rows], "passages": pool.passages}
    vectors = {
        name: encode_listed(encoder, name, listed, is_query=name == "queries").dense
        for name, listed in texts.items()
    }
    options = config.mining
    index = DenseIndex.build(
        vectors["passages"],
        options.index,
        queries=vectors["queries"],
        depth=options.depth,
        first=options.first_rank,
        folder=stage.workspace.path("index"),
        say=lambda text: say(f"mine-negatives: {text}"),
    )
    scores, ids = index.search(vectors["queries"], options.depth)
    found = candidates_of(pool, vectors, ids, scores)
    return choose(found, config.mining), found, vectors


def candidates_of(pool: Any, vectors: dict[str, Any], ids: Any, scores: Any) -> Any:
    """Return what a search found, with what the pool knows of its rows and passages."""
    from mining.negatives import Candidates

    return Candidates(
        ids=ids,
        scores=scores,
        positive=pool.positive,
        positive_scores=positive_scores(vectors, pool),
        text_groups=pool.text_groups,
        document_groups=pool.document_groups,
        query_groups=pool.query_groups,
        known=pool.known,
        listed=listed_groups(pool),
    )


def positive_scores(vectors: Mapping[str, Vectors], pool: Any) -> Vectors:
    """Return the score of each row's positive; of several the lowest.

    No candidate may then score as high as a passage that is known to answer.
    """
    from mining.shards import score_pairs

    scores = score_pairs(
        vectors["queries"], vectors["passages"], np.arange(len(pool.rows)), pool.positive
    )
    for number, found in enumerate(pool.positives):
        if len(found) > 1:
            scores[number] = (vectors["passages"][found] @ vectors["queries"][number]).min()
    return scores.astype(np.float32)


def listed_groups(pool: Any) -> list[frozenset[int]]:
    """Return the text groups of each row's labelled negatives; [] where no row has any."""
    if not any(pool.negatives):
        return []
    return [frozenset(pool.text_groups[found].tolist()) for found in pool.negatives]


def spill_rows(
    config: RunConfig, stage: Stage, pool: Any, chosen: Any, found: Any, vectors: Any
) -> list[str]:
    """Write the training rows as sorted runs; return their paths."""
    from curation.runs import SUFFIX, write_run
    from curation.tokens import TokenCounter
    from pipelines.encoders import encoder_folder
    from pipelines.spill import row_keys

    counter = TokenCounter(encoder_folder(config.model.encoder))
    paths = []
    for start in range(0, len(pool.rows), _ROWS_PER_RUN):
        numbers = range(start, min(start + _ROWS_PER_RUN, len(pool.rows)))
        rows = [training_row(pool, chosen, found, vectors, number) for number in numbers]
        set_lengths(rows, counter, config)
        path = stage.workspace.path("runs", "training", f"rows-{start:09d}{SUFFIX}")
        write_run(path, to_table(rows, TRAINING_ROW), row_keys(rows))
        paths.append(path)
    return paths


def training_row(
    pool: Any, chosen: Any, found: Any, vectors: Mapping[str, Vectors], number: int
) -> TrainingRow:
    """Return one row with its positives and its negatives: labelled ones, then mined ones.

    Mined ones fill up what labelled ones leave of the row's `mining.negatives`.
    """
    row = pool.rows[number]
    labelled, positives = pool.negatives[number], pool.positives[number]
    room = max(0, chosen.ids.shape[1] - len(labelled))
    kept = np.flatnonzero(chosen.ids[number] >= 0)[:room]
    negatives = labelled + chosen.ids[number][kept].tolist()
    own = [float(found.positive_scores[number])]
    if len(positives) > 1:
        own = score(vectors, number, positives)
    return TrainingRow(
        id=row["id"],
        query=row["query"],
        positives=[pool.passages[i] for i in positives],
        negatives=[pool.passages[i] for i in negatives],
        relation=row["relation"],
        source=row["source"],
        query_language=row["query_language"],
        language=row["language"],
        length=0,
        positive_ids=[pool.passage_ids[i] for i in positives],
        negative_ids=[pool.passage_ids[i] for i in negatives],
        negative_ranks=[NOT_MINED] * len(labelled) + chosen.ranks[number][kept].tolist(),
        positive_scores=own,
        negative_scores=[
            *score(vectors, number, labelled),
            *chosen.scores[number][kept].tolist(),
        ],
    )


def score(vectors: Mapping[str, Vectors], number: int, passages: Sequence[int]) -> list[float]:
    """Return the scores of a query with some passages."""
    found: list[float] = (vectors["passages"][passages] @ vectors["queries"][number]).tolist()
    return found


def set_lengths(rows: Sequence[TrainingRow], counter: Any, config: RunConfig) -> None:
    """Set each row's length: the longest of its texts in tokens, as the model will cut them."""
    model = config.model
    queries = counter.lengths([model.query_prompt + row.query for row in rows])
    passages = list(dict.fromkeys(t for row in rows for t in (*row.positives, *row.negatives)))
    counts = counter.lengths([model.passage_prompt + text for text in passages])
    lengths = dict(zip(passages, counts, strict=True))
    for row, query in zip(rows, queries, strict=True):
        longest = max(lengths[text] for text in (*row.positives, *row.negatives))
        row.length = max(min(query, model.max_query_tokens), min(longest, model.max_passage_tokens))


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
