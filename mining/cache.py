"""Vectors that are kept: under a key of all they depend on, part by part, checked when read.

    FOLDER/<key of model and side>/model.json       what the key was made of
    FOLDER/<key of model and side>/<texts>.dense.npy
    FOLDER/<key of model and side>/<texts>.sparse.{indptr,tokens,weights}.npy

The key is a digest of the weights, the tokenizer, the encoder's settings, pooling, MCLS, prompt,
length and precision, never of a name; the parts are named by a digest of their texts. Vectors of
another model or other texts therefore have other names: there is nothing that could be stale.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from curation import storage
from train.model import M3Model, weights_digest

Say = Callable[[str], None]

_FORMAT = 1  # another one where the same model and texts would give other vectors
_DIGEST_BYTES = 16
_BLOCK = 1 << 20
_VOLATILE = ("_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype")


def model_facts(model: M3Model) -> dict[str, Any]:
    """Return the digests of a model that both sides share; a second for each 2 GB of weights."""
    return {
        "format": _FORMAT,
        "weights": weights_digest(model),
        "tokenizer": tokenizer_digest(model.tokenizer),
        "encoder": _json_digest(_without(model.encoder.config.to_dict(), _VOLATILE)),
        "pooling": model.config.pooling,
        "mcls_tokens": model.config.mcls_tokens,
    }


def side_facts(
    model: M3Model, shared: dict[str, Any], *, is_query: bool, dtype: str, store: str
) -> dict[str, Any]:
    """Return all that the vectors of queries, or of passages, depend on beside their texts.

    How texts are batched is not among it: padding moves the last bits only.
    """
    config = model.config
    return shared | {
        "prompt": config.query_prompt if is_query else config.passage_prompt,
        "max_tokens": config.max_query_tokens if is_query else config.max_passage_tokens,
        "dtype": dtype,
        "store": store,
    }


def tokenizer_digest(tokenizer: Any) -> str:
    """Return a digest of what a tokenizer does, without the cut and padding of its last call."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules: Any = _without(json.loads(backend.to_str()), ("truncation", "padding"))
    else:  # one in Python: its class and its pieces
        rules = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
    return _json_digest([rules, {k: str(v) for k, v in tokenizer.special_tokens_map.items()}])


def _without(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _json_digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class VectorCache:
    """The stored vectors of one model and side."""

    folder: Path

    @classmethod
    def open(cls, root: str, facts: dict[str, Any], say: Say | None) -> VectorCache:
        """Return the cache of these facts; where it is new, tell in what it differs from others."""
        cache = cls(Path(root) / _json_digest(facts)[:32])
        described = cache.folder / "model.json"
        if not described.exists():
            if say and (differs := _differences(Path(root), facts)):
                say(f"no vectors of this model in {root}: {differs}")
            storage.write_json(str(described), facts)
        return cache

    def path(self, texts: str, what: str) -> str:
        """Return where an array of a part lies; `texts` is the digest of its texts."""
        return str(self.folder / f"{texts}.{what}.npy")

    def holds(self, texts: str, names: tuple[str, ...], rows: int, say: Say) -> bool:
        """Tell whether the arrays of a part are there and intact.

        One that is damaged is removed and told. `rows` is the number of texts.
        """
        paths = [Path(self.path(texts, name)) for name in names]
        if not all(path.exists() for path in paths):
            return False
        for path in paths:
            if problem := _damage(path, rows + path.name.endswith(".indptr.npy")):
                say(f"{path} {problem}; it is made again")
                path.unlink()
                return False
        return True

    def store(self, texts: str, what: str, array: npt.NDArray[Any]) -> str:
        """Write an array whole or not at all, its digest behind it; return its path."""
        path = self.path(texts, what)
        head = io.BytesIO()
        np.lib.format.write_array(head, np.ascontiguousarray(array), allow_pickle=False)
        with storage.open_write(path) as handle:
            handle.write(head.getbuffer())
            handle.write(xxhash.xxh3_128(head.getbuffer()).digest())
        return path


def _damage(path: Path, rows: int) -> str:
    """Return what is wrong with a stored array, "" if nothing is.

    `rows` is how many it must have; arrays of tokens have as many as they need.
    """
    digest, left = xxhash.xxh3_128(), path.stat().st_size - _DIGEST_BYTES
    with path.open("rb") as handle:
        while left > 0 and (block := handle.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
        if left or handle.read() != digest.digest():
            return "is damaged"
    shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    if path.name.endswith((".tokens.npy", ".weights.npy")) or shape[0] == rows:
        return ""
    return f"has {shape[0]} rows instead of {rows}"


def _differences(root: Path, facts: dict[str, Any]) -> str:
    """Return in which facts the most similar stored model differs."""
    known = [json.loads(path.read_text()) for path in sorted(root.glob("*/model.json"))]
    changes = [[name for name in facts if facts[name] != other.get(name)] for other in known]
    nearest = min(changes, key=len, default=[])
    return f"{', '.join(nearest)} changed" if nearest else ""
