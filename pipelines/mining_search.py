"""Encode, search and choose: what `mine-negatives` does between its input and its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields

import numpy as np

from curation import storage
from mining.bm25 import Bm25Index
from mining.config import MiningConfig
from mining.cross_encoder import CrossScores
from mining.csr import Csr, concatenate
from mining.encode_parts import Encoded, PartEncoder
from mining.lists import Ids, Lists
from mining.miner import (
    Keep,
    Mined,
    PairScores,
    Piece,
    Scoring,
    Search,
    Work,
    fill_at_random,
    mine,
    nothing,
    run_at_once,
)
from mining.pool import Pool, Scores
from mining.rescore import HybridScores
from mining.search import PoolSearch
from mining.sparse_index import SparseIndex
from pipelines.config import RunConfig
from pipelines.encoders import encoder_folder
from pipelines.merges import load_array, save_array
from pipelines.mining_rows import PositiveScores, Result
from pipelines.stage import Stage
from pipelines.terminal import say
from pipelines.vectors import encode_listed, part_encoder


def mine_pool(config: RunConfig, stage: Stage, pool: Pool, beam_arguments: list[str]) -> Result:
    """Return the negatives of the pool's rows, as `[mining]` says."""
    options = config.mining
    if options.negatives_from != "mined":
        return chosen_of(pool, Scoring(no_scores), None, options)
    if options.on_workers:
        encoder = part_encoder(config, "mine-negatives")
        return _mined_on_workers(config, stage, pool, encoder, beam_arguments)
    encoder, queries, passages = encode_pool(config, pool)
    search = search_of(encoder, pool, queries, passages, options, index_says)
    scoring = Scoring(search.dense_scores, rescorer(encoder, pool, options))
    return chosen_of(pool, scoring, search, options, kept(stage))


def encode_pool(config: RunConfig, pool: Pool) -> tuple[PartEncoder, Encoded, Encoded]:
    """Return the encoder, and what it made of the pool's queries and passages.

    Of several processes each encodes its share, and all of them call this.
    """
    encoder, heads = part_encoder(config, "mine-negatives"), heads_of(config.mining)
    queries = encode_listed(encoder, "queries", pool.queries, is_query=True, heads=heads)
    passages = encode_listed(encoder, "passages", pool.passages, is_query=False, heads=heads)
    return encoder, queries, passages


def _mined_on_workers(
    config: RunConfig, stage: Stage, pool: Pool, encoder: PartEncoder, beam_arguments: list[str]
) -> Result:
    """Return the negatives with what workers encode and find."""
    from pipelines.mine_on_workers import FoundOnWorkers, encode_on_workers, find_on_workers

    options = config.mining
    vectors = encode_on_workers(config, stage.workspace, pool, encoder, beam_arguments)
    found = find_on_workers(config, stage.workspace, vectors, beam_arguments)
    here = search_of(encoder, pool, *vectors, options, index_says)
    scoring = Scoring(here.dense_scores, rescorer(encoder, pool, options))
    search = FoundOnWorkers(here, options.depth, *found)
    return chosen_of(pool, scoring, search, options, kept(stage))


def chosen_of(
    pool: Pool,
    scoring: Scoring,
    search: Search | None,
    options: MiningConfig,
    keep: Keep = run_at_once,
) -> Result:
    """Return the negatives that a search finds, or random ones; `keep` runs each piece once."""
    scores = own_scores(pool, scoring.dense)
    teachers = PositiveScores(pool.positive_teachers, pool.negative_teachers)
    if scoring.rescore:
        teachers = own_scores(pool, scoring.rescore)
    bounds = lowest(pool.positives, (teachers if scoring.rescore else scores).positives)
    mined = nothing(len(pool), options)
    if search:
        mined = mine(pool, search, scoring, bounds, options, keep)
    if options.negatives_from == "random" or (search and options.starved == "random"):
        fill_at_random(pool, mined, scoring, options)
    return Result(pool, mined, scores, teachers, options.sources)


def heads_of(options: MiningConfig) -> tuple[str, ...]:
    """Return the heads whose vectors `mining.sources` search."""
    return ("dense", "sparse") if "sparse" in options.sources else ("dense",)


def rescorer(encoder: PartEncoder, pool: Pool, config: MiningConfig) -> PairScores | None:
    """Return what scores candidates a second time, if anything does."""
    rescore = config.rescore
    if rescore.by == "hybrid":
        return HybridScores(pool, encoder, rescore.weights)
    if rescore.by == "cross-encoder":
        return CrossScores.open(
            encoder_folder(rescore.cross_encoder),
            pool,
            device=encoder.model.device,
            max_tokens=rescore.max_tokens,
            batch_tokens=config.encode.batch_tokens,
            dtype=encoder.dtype,
        )
    return None


def search_of(
    encoder: PartEncoder,
    pool: Pool,
    queries: Encoded,
    passages: Encoded,
    options: MiningConfig,
    says: Callable[[str], None],
) -> PoolSearch:
    """Return what searches the pool with the vectors of its texts, its indexes built."""
    sparse = None
    if "sparse" in options.sources:
        index = SparseIndex.write(
            storage.join(encoder.folder, "mined-sparse"),
            sparse_parts(passages),
            len(encoder.model.tokenizer),
        )
        sparse = concatenate(sparse_parts(queries)), index
    return PoolSearch(
        pool,
        options,
        queries.dense,
        passages.dense,
        sparse,
        bm25_of(pool) if "bm25" in options.sources else None,
        says,
    )


def sparse_parts(texts: Encoded) -> Iterator[Csr]:
    """Yield the sparse vectors of texts part by part."""
    return map(texts.sparse_part, range(len(texts.sparse)))


def index_says(line: str) -> None:
    """Tell what index was chosen."""
    say(f"mine-negatives: {line}")


def bm25_of(pool: Pool) -> Bm25Index:
    """Return an index of the pool's passages; one language's analyser where there is but one."""
    from mining.analysis import analyser

    languages = set(pool.rows["language"].unique().to_pylist())
    spoken = np.unique(pool.groups.language)
    language = languages.pop() if len(languages) == 1 and len(spoken) == 1 else ""
    return Bm25Index.build(pool.passages, analyser(language))


def no_scores(rows: Ids, _: Ids) -> Scores:
    """Score nothing: NaN for each pair."""
    return np.full(len(rows), np.nan, np.float32)


def own_scores(pool: Pool, score: PairScores) -> PositiveScores:
    """Return the scores of what the rows name themselves."""
    sides = (score(lists.owners, lists.values) for lists in (pool.positives, pool.negatives))
    return PositiveScores(*sides)


def lowest(positives: Lists, scores: Scores) -> Scores:
    """Return the lowest score of each row's positives.

    No candidate may then score as high as a passage that is known to answer.
    """
    return np.minimum.reduceat(scores, positives.starts[:-1])


def kept(stage: Stage) -> Callable[[Work, Piece], Mined]:
    """Return what runs a piece once: a killed run finds what it had."""

    def keep(work: Work, piece: Piece) -> Mined:
        names = [item.name for item in fields(Mined)]
        folder = f"mined-{work.number:05d}"
        paths = [stage.workspace.path("mined", folder, f"{name}.npy") for name in names]
        if storage.exists(paths[-1]):  # the last to be written
            return Mined(*map(load_array, paths))
        found = piece(work)
        for name, path in zip(names, paths, strict=True):
            save_array(path, getattr(found, name))
        return found

    return keep
