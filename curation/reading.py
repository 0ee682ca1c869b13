"""Reads the pair-shaped kinds of sources: which reader takes which format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from curation import storage
from curation.config import SourceConfig
from curation.errors import ConfigError, InputError
from curation.inputs import Input, inputs_of
from curation.records import Reject
from curation.sources import bitext, hub, judgements, labelled_rows, squad, tatoeba, tmx
from curation.sources.bitext import Bitext
from curation.sources.opener import Opener
from curation.sources.raw import RawDocument, RawLabelled, RawPair, RawTranslation

Record = RawDocument | RawPair | RawTranslation | RawLabelled | Reject


def read_input(unit: Input, source: SourceConfig, opener: Opener) -> Iterator[Record]:
    """Yield the records of a unit of a parallel, labelled or hf source."""
    if source.kind == "hf":
        yield from hub.read_rows(dataset_of(source, unit.path), unit.shard, unit.shards)
    elif source.kind == "labelled":
        for record in _labelled(unit, source, opener):
            if isinstance(record, RawLabelled):
                record.language = record.language or unit.language
            yield record
    else:
        yield from _translations(unit, source, opener)


def _translations(unit: Input, source: SourceConfig, opener: Opener) -> Iterator[Record]:
    known = Bitext(source.label, unit.language, unit.target_language)
    match source.format:
        case "moses":
            yield from bitext.read_aligned(opener, unit.path, unit.companions[0][0], known)
        case "tatoeba":
            yield from tatoeba.read_links(opener, unit.path, unit.companions[0][0], known)
        case "tmx":
            with opener.open(unit.path) as stream:
                yield from tmx.read_units(stream, known)
        case _:
            layout = bitext.LAYOUTS[source.format]
            with opener.open(unit.path) as stream:
                yield from bitext.read_columns(stream, known, layout, source.min_score)


def _labelled(unit: Input, source: SourceConfig, opener: Opener) -> Iterator[Record]:
    if source.format in ("beir", "qrels"):
        queries, corpus = unit.companions
        files = judgements.Judged(unit.path, queries, corpus, source.label)
        yield from judgements.read_judged(opener, files)
        return
    readers = {
        "flagembedding": labelled_rows.read_flagembedding,
        "passages": labelled_rows.read_passages,
        "nli": labelled_rows.read_nli,
        "squad": squad.read_questions,
    }
    with opener.open(unit.path) as stream:
        yield from readers[source.format](stream, source.label)


def units_of(source: SourceConfig) -> list[Input]:
    """Return the units of a parallel, labelled or hf source, after a look at its columns."""
    if source.kind != "hf":
        return inputs_of(source)
    if is_named(source):
        shards = hub.check_columns(dataset_of(source, source.path))
        return [Input(source.path, shard=i, shards=shards) for i in range(shards)]
    if source.subset or source.split != "train" or source.revision:
        raise ConfigError(
            f"curation.sources: {source.path!r} names files; subset, split and revision "
            "belong to a data set's name or folder"
        )
    units = [Input(path) for path in storage.expand(source.path)]
    for unit in units:
        with suppress(InputError):  # a damaged file is counted when it is read
            hub.check_columns(dataset_of(source, unit.path))
            break
    return units


def is_named(source: SourceConfig) -> bool:
    """Tell whether an hf source's path is a folder or a name on the hub, no files."""
    if storage.is_folder(source.path):
        return True
    return not (storage.is_url(source.path) or hub.has_known_suffix(source.path))


def dataset_of(source: SourceConfig, path: str) -> hub.Dataset:
    """Return what an hf source loads: the whole data set, or one of its files."""
    return hub.Dataset(
        path=path,
        is_file=not is_named(source),
        subset=source.subset,
        split=source.split,
        revision=source.revision,
        columns=source.columns,
        relation=source.relation,
        source=source.label,
        query_language=source.query_language,
        language=source.language,
    )


def watched_files(source: SourceConfig) -> list[str]:
    """Return the files that a source's result depends on; none of a data set on the hub.

    What the hub holds is identified by the source's `revision`, which is part of the config.
    """
    if source.kind != "hf":
        return sorted({path for unit in inputs_of(source) for path in unit.files})
    if not is_named(source):
        return storage.expand(source.path)
    return storage.files_under(source.path)
