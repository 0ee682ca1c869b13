"""Texts of any number → vectors on disk, part by part: kept, checked and resumed.

Several processes (`torchrun`) take every n-th part each. A part is encoded in the same batches
whoever does it, so one process and many give the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from curation import storage
from curation.errors import ConfigError, InputError, first_line
from mining.cache import Say, VectorCache, model_facts, side_facts
from mining.csr import Csr, in_order
from mining.devices import device_for
from mining.encode import Report, encode_batches, probe_dtype
from mining.encode_config import EncodeConfig
from mining.shards import Ids, Shards, Vectors
from mining.text_parts import ListedTexts, texts_digest
from train import launch
from train.model import M3Model
from train.scoring import Embeddings

Arrays = dict[str, npt.NDArray[Any]]
_ARRAYS: dict[str, tuple[str, ...]] = {
    "dense": ("dense",),
    "sparse": ("sparse.indptr", "sparse.tokens", "sparse.weights"),
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """Where the vectors of N texts lie."""

    dense: Shards
    """(N, d) dense vectors; empty where they were not asked for."""
    sparse: tuple[tuple[str, str, str], ...]
    """The CSR files of each part: indptr, tokens, weights."""

    def sparse_part(self, number: int) -> Csr:
        """Return the sparse vectors of a part, mapped from its files."""
        arrays = [np.load(p, mmap_mode="r", allow_pickle=False) for p in self.sparse[number]]
        return Csr(*arrays)


@dataclass(slots=True)
class PartEncoder:
    """A model and how it is run, for texts of both sides."""

    model: M3Model
    config: EncodeConfig
    dtype: str
    """bf16 or fp32; of passages, and of queries as `mining.encode.query_dtype` says."""
    folder: str
    """Where vectors are kept."""
    say: Say
    facts: dict[str, Any]
    """What `mining.cache.model_facts` says of the model."""

    @classmethod
    def of(cls, model: M3Model, config: EncodeConfig, folder: str, say: Say) -> PartEncoder:
        """Move a model to `mining.encode.device` and find out in which precision to encode.

        Raises `ConfigError` where the device is missing or fails. Process 0 chooses for all.
        """
        device = device_for(config.device, "mining.encode.device")
        model.to(device)
        facts, dtype, why = model_facts(model), config.dtype, "mining.encode.dtype"
        if dtype == "auto":
            found = _probed(model, folder, facts["weights"]) if launch.rank() == 0 else None
            dtype, why = launch.first_says(found)
        if launch.rank() == 0:
            queries = ", queries in fp32" if (dtype, config.query_dtype) == ("bf16", "fp32") else ""
            say(f"encoding in {dtype}{queries} on {device} ({why})")
        return cls(model, config, dtype, folder, say, facts)

    def dtype_of(self, *, is_query: bool) -> str:
        """Return the precision of one side."""
        return "fp32" if is_query and self.config.query_dtype == "fp32" else self.dtype

    def encode(
        self,
        texts: ListedTexts,
        *,
        is_query: bool,
        heads: Sequence[str] = ("dense",),
        report: Report | None = None,
    ) -> Encoded:
        """Return the vectors of texts, of which what is kept and intact is not encoded again.

        `heads` are dense, sparse or both. `report` is told (texts done, tokens encoded).
        """
        facts = side_facts(
            self.model,
            self.facts,
            is_query=is_query,
            dtype=self.dtype_of(is_query=is_query),
            store=self.config.store,
        )
        cache = VectorCache.open(self.folder, facts, self.say if launch.rank() == 0 else None)
        job = _Job(self, cache, tuple(heads), is_query, report)
        rank, world = launch.rank(), launch.world_size()
        digests = {n: job.do(n, texts) for n in range(rank, len(texts), world)}
        for found in launch.all_say(digests):
            digests |= found
        names = [digests[number] for number in range(len(texts))]
        return self._opened(cache, names, job.heads)

    def _opened(self, cache: VectorCache, names: list[str], heads: tuple[str, ...]) -> Encoded:
        dense = [cache.path(name, "dense") for name in names] if "dense" in heads else []
        sparse = [
            tuple(cache.path(name, what) for what in _ARRAYS["sparse"])
            for name in names
            if "sparse" in heads
        ]
        try:
            width = int(self.model.encoder.config.hidden_size)
            return Encoded(Shards(dense, width), tuple((a, b, c) for a, b, c in sparse))
        except FileNotFoundError as error:
            raise InputError(
                f"another process wrote {error.filename} where this one does not see it: "
                "mining.encode.cache must be a folder that all processes share"
            ) from error


def _probed(model: M3Model, folder: str, weights: str) -> tuple[str, str]:
    """Return the precision that a probe chose, and why; what it chose once stays.

    A run that goes on, or is made again beside other work, must not find the other precision
    faster and encode everything anew.
    """
    path = storage.join(folder, f"precision-{model.device.type}-{weights[:32]}.json")
    if storage.exists(path):
        return str(storage.read_json(path)["dtype"]), f"as found before: {path}"
    dtype, why = probe_dtype(model)
    storage.write_json(path, {"dtype": dtype, "why": why})
    return dtype, why


@dataclass(slots=True)
class _Job:
    """The parts of one side."""

    encoder: PartEncoder
    cache: VectorCache
    heads: tuple[str, ...]
    is_query: bool
    report: Report | None
    texts_done: int = 0
    tokens_done: int = 0

    def do(self, number: int, parts: ListedTexts) -> str:
        """Encode what is missing of a part; return the digest of its texts."""
        texts = parts.part(number)
        digest = texts_digest(texts)
        say = self.encoder.say
        missing = [
            head
            for head in self.heads
            if not self.cache.holds(digest, _ARRAYS[head], len(texts), say)
        ]
        if missing:
            self._store(digest, self._encoded(texts, missing))
        self.texts_done += len(texts)
        if self.report:
            self.report(self.texts_done, self.tokens_done)
        return digest

    def _encoded(self, texts: list[str], heads: list[str]) -> Arrays:
        width = int(self.encoder.model.encoder.config.hidden_size)
        dense: npt.NDArray[Any] = np.empty((len(texts), width), self._stored)
        sparse: list[tuple[Ids, Csr]] = []
        for places, embeddings in self._batches(texts):
            if "dense" in heads:
                dense[places] = _checked(embeddings, self.encoder)
            if "sparse" in heads:
                sparse.append((places, Csr.of(embeddings)))
        arrays: Arrays = {"dense": dense} if "dense" in heads else {}
        if "sparse" in heads:
            csr = in_order(sparse)
            arrays |= dict(
                zip(_ARRAYS["sparse"], (csr.indptr, csr.tokens, csr.weights), strict=True)
            )
        return arrays

    def _batches(self, texts: list[str]) -> Iterator[tuple[Ids, Embeddings]]:
        config, done, before = self.encoder.config, self.texts_done, self.tokens_done

        def report(count: int, tokens: int) -> None:
            self.tokens_done = before + tokens
            if self.report:
                self.report(done + count, self.tokens_done)

        try:
            yield from encode_batches(
                self.encoder.model,
                texts,
                is_query=self.is_query,
                budget=config.batch_tokens,
                dtype=self.encoder.dtype_of(is_query=self.is_query),
                report=report,
                multi_vector=False,
            )
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"mining.encode.batch_tokens = {config.batch_tokens} is more than "
                f"{self.encoder.model.device} has memory for; set a smaller one"
            ) from error
        except RuntimeError as error:
            raise ConfigError(
                f"mining.encode.device = {config.device!r}: {self.encoder.model.device} failed "
                f"while it encoded ({first_line(error)}); the parts that are done are kept: name "
                "another device, or cpu, and run again"
            ) from error

    @property
    def _stored(self) -> type:
        return np.float16 if self.encoder.config.store == "fp16" else np.float32

    def _store(self, digest: str, arrays: Arrays) -> None:
        for name, array in arrays.items():
            self.cache.store(digest, name, array)


def _checked(embeddings: Embeddings, encoder: PartEncoder) -> Vectors:
    """Return dense vectors; raise `ConfigError` where the device gave what is no number."""
    dense: Vectors = embeddings.dense.float().cpu().numpy()
    if not np.isfinite(dense).all():
        raise ConfigError(
            f"mining.encode.device = {encoder.config.device!r}: {encoder.model.device} computed "
            f"vectors with no numbers in {encoder.dtype}; set mining.encode.dtype = 'fp32', or "
            "name another device"
        )
    return dense


def encode_chosen(
    encoder: PartEncoder, texts: Sequence[str], *, is_query: bool
) -> list[Embeddings]:
    """Return the embeddings of a few texts with all heads, one each, without padding, in order.

    For what is re-scored only: a text of 500 tokens takes 380 KB with 384 numbers a token, so they
    are made when they are needed and not kept. Token vectors are fp16.
    """
    found: list[Embeddings | None] = [None] * len(texts)
    batches = encode_batches(
        encoder.model,
        texts,
        is_query=is_query,
        budget=encoder.config.batch_tokens,
        dtype=encoder.dtype_of(is_query=is_query),
    )
    for places, part in batches:
        lengths = (part.mask.sum(1) + 1).tolist()
        for row, (place, length) in enumerate(zip(places.tolist(), lengths, strict=True)):
            one = slice(row, row + 1)
            found[place] = Embeddings(
                part.dense[one],
                part.weights[one, :length],
                part.vectors[one, :length].half(),
                part.ids[one, :length],
                part.mask[one, :length],
            )
    return [item for item in found if item is not None]
