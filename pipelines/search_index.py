"""A corpus and a model → an index on disk, part by part; and the model that an index asks with."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from curation import manifest, storage
from curation.errors import ConfigError, InputError
from curation.language import LanguageDetector
from mining.csr import Csr
from mining.hybrid import FILE, FORMAT, Depths, HybridIndex
from mining.hybrid_parts import Encoding, Part, Passage, digest_of, is_current, write_part
from mining.index import DenseIndex
from mining.index_config import IndexConfig
from mining.index_files import save_index
from mining.shards import Shards
from mining.sparse_index import SparseIndex
from pipelines.encoders import encoder_folder
from pipelines.search_corpus import read_passages
from pipelines.terminal import Progress, say
from train import mcls
from train.checkpoint import check, config_of, load
from train.config import ModelConfig
from train.model import M3Model, weights_digest

_PART = 16_384  # passages: what a killed run does again at most
# Up to so many passages auto compares a query with every vector; beyond, a graph is faster.
_SCANNED = 50_000
_OURS = ("parts", "sparse", "dense", FILE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to index, with what, and where to."""

    files: Sequence[str]
    """The corpus."""
    folder: str
    """Where the index goes."""
    name: str
    """What the model was called: kept, so that a search finds it."""
    encoding: Encoding
    language: str = ""
    """The language of passages that name none; "": identified."""
    factory: str = "auto"
    """The dense index: a FAISS factory string, or auto."""
    part: int = _PART
    """Passages of a part."""


def model_settings(name: str, settings: Mapping[str, Any]) -> ModelConfig:
    """Return the config of a checkpoint, with settings of `[model]` that were given.

    With MCLS and no length given, passages are as long as the encoder's positions allow.
    """
    folder = encoder_folder(name)
    config = config_of(folder)
    every = int(settings.get("mcls_tokens", 0))
    if every and not {"max_passage_tokens", "max_positions"} & settings.keys():
        longest = config.max_passage_tokens
        longest -= mcls.extra_tokens(longest, every)
        queries = min(longest, config.max_query_tokens)
        settings = {"max_query_tokens": queries, **settings, "max_passage_tokens": longest}
    config = replace(config, **settings)
    check(folder, config)
    return config


def load_model(config: ModelConfig) -> M3Model:
    """Return the model on the best device."""
    from mining.encode import best_device

    return load(config.encoder, config).to(best_device())


def described(model: M3Model, name: str, dtype: str) -> dict[str, Any]:
    """Return what tells whether a query and an index go together, and where the model is."""
    settings = asdict(model.config)
    del settings["encoder"]
    tokenizer = json.loads(model.tokenizer.backend_tokenizer.to_str())
    tokenizer |= {"truncation": None, "padding": None}  # of its last call
    return {
        "name": name if name.startswith("pypi:") else _lasting(name),
        "weights": weights_digest(model),
        "tokenizer": manifest.fingerprint(tokenizer),
        "settings": settings,
        "dtype": dtype,
    }


def _lasting(name: str) -> str:
    """Return a folder's absolute path; a hub name as it is."""
    return os.path.abspath(name) if os.path.isdir(name) else name


def build(plan: Plan, model: M3Model) -> HybridIndex:
    """Bring the index up to date with the corpus and return it.

    Parts whose passages, model and settings are those of an earlier run stay as they are, so a
    killed run goes on, and a corpus that has grown at its end is encoded at its end only.
    """
    _refuse_foreign(plan.folder)
    told = described(model, plan.name, plan.encoding.dtype)
    names, changed = _write_parts(plan, model, told)
    if not names:
        raise InputError(f"the corpus {', '.join(plan.files)} holds no passage")
    changed |= _stale(plan.folder, names, plan.factory)
    if not changed and (index := _opened(plan.folder)):
        say(f"index: {plan.folder} is up to date")
        return index
    storage.remove(os.path.join(plan.folder, FILE))
    parts = [Part(os.path.join(plan.folder, "parts", name)) for name in names]
    vocabulary = int(model.encoder.config.vocab_size)
    SparseIndex.write(os.path.join(plan.folder, "sparse"), _sparse(parts), vocabulary)
    _write_dense(plan, Shards([part.dense_file for part in parts]))
    languages = Counter(code for part in parts for code in part.languages())
    told |= {"encoding": asdict(plan.encoding), "factory": plan.factory}
    description = {
        "format": FORMAT,
        "model": told,
        "parts": names,
        "passages": sum(map(len, parts)),
        "languages": dict(languages),
    }
    storage.write_json(os.path.join(plan.folder, FILE), description)
    return HybridIndex(plan.folder)


def _opened(folder: str) -> HybridIndex | None:
    """Return a finished index; None where one of its files is missing or cut."""
    try:
        return HybridIndex(folder)
    except (InputError, OSError, ValueError) as error:
        say(f"index: building {folder} again, because it does not open ({error})")
        return None


def _write_dense(plan: Plan, vectors: Shards) -> None:
    """Build the dense index; its vectors are those of the parts, linked."""
    factory = plan.factory
    if factory == "auto":
        factory = "SQfp16" if len(vectors) <= _SCANNED else "HNSW32_SQfp16"
    # fp16 codes of fp16 vectors are the vectors: their best need no second look
    exact = factory == "SQfp16" and plan.encoding.store == "fp16"
    config = IndexConfig(factory=factory, refine=int(exact))
    built = DenseIndex.build(vectors, config, depth=Depths().rerank, say=say)
    save_index(built, os.path.join(plan.folder, "dense"))


def _sparse(parts: Iterable[Part]) -> Iterator[Csr]:
    return (part.sparse for part in parts)


def _write_parts(plan: Plan, model: M3Model, told: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Write the parts that are missing or changed; return all names, and whether any was."""
    names: list[str] = []
    changed = False
    detector: LanguageDetector | None = None
    kept = asdict(plan.encoding) | {"batch_tokens": 0}
    for passages in _chunks(read_passages(plan.files, plan.language), plan.part):
        names.append(f"part-{len(names):05d}")
        folder = os.path.join(plan.folder, "parts", names[-1])
        digest = digest_of(passages)
        identity = {key: value for key, value in told.items() if key != "name"}
        fingerprint = manifest.fingerprint([FORMAT, identity, kept, digest])
        if is_current(folder, fingerprint):
            continue
        storage.remove(os.path.join(plan.folder, FILE))
        detector = detector or LanguageDetector()
        changed = True
        _write(folder, _with_language(passages, detector), model, plan.encoding, fingerprint)
    return names, changed


def _write(
    folder: str, passages: list[Passage], model: M3Model, encoding: Encoding, fingerprint: str
) -> None:
    label = f"index {os.path.basename(folder)}"
    with Progress(label, "passages") as progress:

        def report(done: int, tokens: int) -> None:
            progress.update(done / len(passages), done, f"{tokens:,} tokens")

        write_part(folder, passages, model, encoding, fingerprint, report)


def _with_language(passages: Iterable[Passage], detector: LanguageDetector) -> list[Passage]:
    return [
        p if p.language else replace(p, language=detector.detect(p.text or p.title).language)
        for p in passages
    ]


def _chunks(passages: Iterator[Passage], size: int) -> Iterator[list[Passage]]:
    while chunk := list(islice(passages, size)):
        yield chunk


def _stale(folder: str, names: Sequence[str], factory: str) -> bool:
    """Tell whether a finished index differs from what is wanted; drop parts that are no more."""
    for path in storage.list_folders(os.path.join(folder, "parts")):
        if os.path.basename(path) not in names:
            storage.remove(os.path.join(folder, FILE))
            storage.remove(path)
    path = os.path.join(folder, FILE)
    if not storage.exists(path):
        return True
    listed = storage.read_json(path)
    return bool(listed["parts"] != list(names) or listed["model"]["factory"] != factory)


def _refuse_foreign(folder: str) -> None:
    found = sorted(path.name for path in Path(folder).glob("*")) if os.path.isdir(folder) else []
    foreign = [name for name in found if name not in _OURS and not name.startswith(".")]
    if foreign:
        raise ConfigError(
            f"--to {folder} holds files that are no index, as {foreign[0]!r}: choose another folder"
        )


def model_of(index: HybridIndex, name: str = "") -> M3Model:
    """Return the model that an index was built with, from where it was or from `name`.

    Raises `InputError` where its weights or tokenizer are others than then.
    """
    told = index.description["model"]
    name = name or told["name"]
    model = load_model(replace(ModelConfig(**told["settings"]), encoder=encoder_folder(name)))
    found = described(model, name, told["dtype"])
    for key in ("weights", "tokenizer"):
        if found[key] != told[key]:
            raise InputError(
                f"the {key} of {name} are not those that {index.folder} was built with: index the "
                "corpus anew, or name the model of that time with --model"
            )
    return model
