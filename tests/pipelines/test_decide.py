"""From runs of documents to decisions over the whole corpus."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from curation import caps, dedup, runs
from curation.config import CurationConfig
from curation.pairs import PairConfig
from curation.quality import fill_scores
from curation.records import DOCUMENT, HOST, Document, HostKey, text_key, to_table
from pipelines.decide import StoreShards, ThinKeys, read_hosts
from pipelines.merges import id_hash, load_shards
from pipelines.spill import document_keys, host_keys
from pipelines.stored import store
from pipelines.work import Workspace
from tests.builders import PARAGRAPH


def write_documents(folder: Path, texts: list[str], titles: list[str]) -> runs.Run:
    made = [
        Document(f"w:{i}", "web", title, text, "en", "en", script="Latin", text_hash=text_key(text))
        for i, (text, title) in enumerate(zip(texts, titles, strict=True))
    ]
    fill_scores(made)
    return runs.write_run(
        str(folder / "run.parquet"), to_table(made, DOCUMENT), document_keys(made)
    )


def thin(run: runs.Run, config: CurationConfig) -> tuple[dedup.Array, caps.Array]:
    """Return the version keys and the title keys of a run."""
    step = ThinKeys(store(Workspace(str(Path(run.path).parent)), "config", config))
    step.setup()
    ids, titles = [np.empty(0, dedup.THIN_KEY)], [np.empty(0, caps.TITLE_KEY)]
    for item in step.process(run):
        if isinstance(item, beam.pvalue.TaggedOutput):
            assert item.tag == "titles"
            titles.append(item.value[1])
        else:
            ids.append(item[1])
    return np.concatenate(ids), np.concatenate(titles)


def test_only_documents_that_pass_send_keys(tmp_path: Path) -> None:
    """A rejected version drops no other, and its title does not count."""
    texts = [f"{PARAGRAPH} One.", "Too short.", f"{PARAGRAPH} Two."]
    run = write_documents(tmp_path, texts, ["Home", "Home", ""])
    ids, titles = thin(run, CurationConfig())
    assert sorted(ids["id"].tolist()) == sorted(map(id_hash, ("w:0", "w:2")))
    assert titles["title"].tolist() == [caps.title_hash("web", "home")]
    assert titles.dtype.itemsize == 24


def test_without_a_limit_no_titles_are_sent(tmp_path: Path) -> None:
    """An option that is off costs nothing."""
    run = write_documents(tmp_path, [PARAGRAPH], ["Home"])
    ids, titles = thin(run, CurationConfig(pairs=PairConfig(max_title_frequency=0)))
    assert (len(ids), len(titles)) == (1, 0)


@pytest.mark.parametrize("bundles", [1, 3])
def test_decisions_are_stored_by_shard(tmp_path: Path, bundles: int) -> None:
    """However the hosts reach it: the pairs of the largest hashes go."""
    rows = [HostKey(7, pair, pair % 3) for pair in (9, 1, 5, 4)]
    rows += [HostKey(8, 2, 0)]
    found = []
    for number in range(bundles):
        part = rows[number::bundles]
        path = str(tmp_path / f"hosts-{number}.parquet")
        found.append(runs.write_run(path, to_table(part, HOST), host_keys(part)))
    workspace = Workspace(str(tmp_path / "work"))
    with beam.Pipeline(runner=FnApiRunner()) as p:
        _ = (
            p
            | beam.Create(found)
            | beam.FlatMap(read_hosts)
            | StoreShards("capped", workspace, over_two)
        )
    capped = load_shards(workspace, "capped", caps.HOST_KEY)
    assert sorted(capped.tolist()) == [(7, 5, 2), (7, 9, 0)]


def over_two(rows: caps.Array) -> caps.Array:
    """Two pairs a host."""
    return caps.over_cap(rows, 2)
