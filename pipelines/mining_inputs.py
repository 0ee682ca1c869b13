"""What `mine-negatives` reads: rows, further passages, and what is known of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import manifest, parquet, storage
from curation.errors import ConfigError
from mining import corpus
from mining.links import NO_LINKS, Links, links_of
from mining.pool import Pool, build_pool
from mining.rows import ordered, select_labelled, select_rows
from pipelines.config import RunConfig

Manifests = Mapping[str, Mapping[str, Any]]

_PAIRS = ("consistent-pairs", "pairs")


def input_manifests(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Return the manifests of the folders that rows and passages come from."""
    wanted = _row_folders(config)
    if not wanted:
        raise ConfigError(
            f"mining.relations = {list(config.mining.relations)!r} names nothing to mine for: "
            "no source of the config is labelled"
        )
    if "documents" in config.mining.corpus:
        wanted["documents"] = "make curate"
    if "pairs" in config.mining.corpus:
        wanted |= _pair_folder(config)
    return {
        name: manifest.read(storage.join(config.out, name), command)
        for name, command in wanted.items()
    }


def _row_folders(config: RunConfig) -> dict[str, str]:
    relations = set(config.mining.relations) - {"labelled"}
    wanted = {}
    if any(relation.startswith("question-") for relation in relations):
        wanted["questions"] = "make synth"
    if any(not relation.startswith("question-") for relation in relations):
        wanted |= _pair_folder(config)
    if takes_labelled(config):
        wanted["labelled"] = "make curate"
    return wanted


def _pair_folder(config: RunConfig) -> dict[str, str]:
    if config.relevance.enabled:
        return {"consistent-pairs": "make filter-pairs"}
    return {"pairs": "make curate"}


def takes_labelled(config: RunConfig) -> bool:
    """Tell whether labelled rows are wanted and some source gives them."""
    wanted = "labelled" in config.mining.relations
    return wanted and any(source.gives_labelled for source in config.curation.sources)


def corpus_files(config: RunConfig) -> list[str]:
    """Return the files outside the run whose passages are searched."""
    found = [
        path for name in corpus.own_files(config.mining.corpus) for path in storage.expand(name)
    ]
    if "labelled" in config.mining.corpus and takes_labelled(config):
        found += [path for _, _, paths in corpus.judged_files(config.curation) for path in paths]
    return sorted(set(found))


def read_pool(config: RunConfig, sources: Manifests) -> Pool:
    """Return the pool of the run."""
    paths = {name: _parts(config, name, listed) for name, listed in sources.items()}
    taken = _row_folders(config)
    labelled = select_labelled(paths.get("labelled", []), config.mining.limits)
    listed = [p for name in taken if name != "labelled" for p in paths[name]]
    rows = select_rows(listed, config.mining.relations, config.mining.limits, config.splits)
    further = _corpus(config, paths)
    folder = None if storage.is_url(config.out) else storage.local_path(config.out)
    links = read_links(config)
    return build_pool(ordered(rows, labelled), config.mining, further, links, folder)


def _parts(config: RunConfig, name: str, listed: Mapping[str, Any]) -> list[str]:
    return manifest.part_paths(storage.join(config.out, name), listed)


def _corpus(config: RunConfig, paths: Mapping[str, list[str]]) -> Iterator[pa.Table]:
    """Yield the passages of `mining.corpus`, in the order of the option."""
    language_of = _language_of(config)
    for name in config.mining.corpus:
        if name == "labelled":
            if takes_labelled(config):
                yield from corpus.labelled_corpora(config.curation, language_of)
        elif name == "documents":
            yield from corpus.documents_corpus(paths[name], config.splits)
        elif name == "pairs":
            for folder in _pair_folder(config):
                yield from corpus.pairs_corpus(paths[folder], config.splits)
        else:
            yield from corpus.files_corpus(name, language_of)


def _language_of(config: RunConfig) -> corpus.Languages:
    """Return what names the language of a passage that does not say it, where it matters."""
    if config.mining.pool == "mixed":
        return corpus.unknown
    from curation.language import LanguageDetector

    detector = LanguageDetector()
    return lambda text: detector.detect(text).language


def read_links(config: RunConfig) -> Links:
    """Return titles and translations of the run, as far as filters want them and folders exist."""
    filters = config.mining.filters
    documents = _folder(config, "documents", ["id", "title"]) if "same_title" in filters else ()
    pairs = _translations(config) if "translation" in filters else ()
    links = links_of(documents, pairs)
    return links if len(links.documents) or len(links.left) else NO_LINKS


def link_digests(config: RunConfig) -> list[dict[str, str]]:
    """Return digests of the folders that `read_links` reads: what filters know decides the rows."""
    wanted = {"documents": "same_title", "pairs": "translation"}
    return [
        {f"links of {name}": manifest.content_digest(manifest.read(folder, "make curate"))}
        for name, filtered in wanted.items()
        if filtered in config.mining.filters
        and storage.exists(storage.join(folder := storage.join(config.out, name), "_SUCCESS"))
    ]


def _translations(config: RunConfig) -> Iterator[pa.Table]:
    for table in _folder(config, "pairs", ["query", "positive", "relation"]):
        yield table.filter(pc.equal(table["relation"], "parallel"))


def _folder(config: RunConfig, name: str, columns: list[str]) -> Iterator[pa.Table]:
    """Yield columns of a folder's parts; nothing where the folder is not complete."""
    directory = storage.join(config.out, name)
    if not storage.exists(storage.join(directory, "_SUCCESS")):
        return
    for path in _parts(config, name, manifest.read(directory, "make curate")):
        for batch in parquet.batches(path, columns):
            yield pa.Table.from_batches([batch])
