"""Parts of an index on disk: what the three heads say of some texts, and the texts themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
import xxhash

from curation import storage
from mining.csr import Csr, Floats, Ints, in_order
from mining.encode import Report, encode_batches
from train import folders, scoring
from train.model import M3Model
from train.scoring import Embeddings

PASSAGES = pa.schema(
    [(name, pa.string()) for name in ("id", "title", "text", "language", "url")],
)
_DESCRIPTION = "part.json"
_TOKENS = 1 << 16  # token vectors put in order together: 50 MB of fp16 at width 384
_TYPES = {"fp16": np.float16, "fp32": np.float32}


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that can be found."""

    id: str
    text: str
    title: str = ""
    language: str = ""
    url: str = ""

    @property
    def encoded(self) -> str:
        """What the model reads: title, newline, text, as for the paper's passages."""
        return f"{self.title}\n{self.text}" if self.title else self.text

    @property
    def body_at(self) -> int:
        """Where the text begins in `encoded`."""
        return len(self.title) + 1 if self.title else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """How passages are encoded."""

    dtype: str = "fp32"
    """The encoder's arithmetic: fp32 or bf16."""
    store: str = "fp16"
    """Precision of dense vectors on disk; token vectors are always fp16."""
    batch_tokens: int = 4096
    """Tokens encoded at once, padding included."""
    vectors: bool = True
    """Keep token vectors, for the multi-vector score: most of an index's size."""


def digest_of(passages: Sequence[Passage]) -> str:
    """Return a digest of all that is stored of passages."""
    digest = xxhash.xxh3_128()
    for passage in passages:
        for value in (passage.id, passage.title, passage.text, passage.language, passage.url):
            data = value.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
    return digest.hexdigest()


def is_current(folder: str, fingerprint: str) -> bool:
    """Tell whether a complete part of this fingerprint is there."""
    folders.recover(folder)
    path = Path(folder) / _DESCRIPTION
    return path.exists() and storage.read_json(str(path))["fingerprint"] == fingerprint


def write_part(
    folder: str,
    passages: Sequence[Passage],
    model: M3Model,
    encoding: Encoding,
    fingerprint: str,
    report: Report | None = None,
) -> None:
    """Encode passages and write the part, which appears complete or not at all."""
    with folders.replacing(folder) as staging:
        _write_texts(str(staging), passages)
        found = _encoded(staging, passages, model, encoding, report)
        np.save(staging / "dense.npy", found.dense)
        for name in ("indptr", "tokens", "weights"):
            np.save(staging / f"sparse.{name}.npy", getattr(found.sparse, name))
        if encoding.vectors:
            _order_vectors(staging, found)
        told = {"fingerprint": fingerprint, "passages": len(passages)}
        storage.write_json(str(staging / _DESCRIPTION), told)


@dataclass(frozen=True, slots=True)
class _Encoded:
    dense: npt.NDArray[Any]
    sparse: Csr
    starts: Ints
    """Where each text's token vectors begin in the file, which is in the encoder's order."""
    counts: Ints
    """How many each has."""


def _encoded(
    staging: Path,
    passages: Sequence[Passage],
    model: M3Model,
    encoding: Encoding,
    report: Report | None,
) -> _Encoded:
    width = int(model.encoder.config.hidden_size)
    dense = np.empty((len(passages), width), _TYPES[encoding.store])
    sparse: list[tuple[Ints, Csr]] = []
    starts, counts = np.zeros((2, len(passages)), np.int64)
    written = 0
    batches = encode_batches(
        model,
        [passage.encoded for passage in passages],
        is_query=False,
        budget=encoding.batch_tokens,
        dtype=encoding.dtype,
        report=report,
        multi_vector=encoding.vectors,
    )
    with (staging / "unordered.bin").open("wb") as handle:
        for numbers, batch in batches:
            dense[numbers] = batch.dense.float().cpu().numpy()
            sparse.append((numbers, Csr.of(batch)))
            lengths = batch.mask.sum(1).cpu().numpy()
            starts[numbers], counts[numbers] = written + lengths.cumsum() - lengths, lengths
            written += int(lengths.sum())
            if encoding.vectors:
                batch.vectors[batch.mask].half().cpu().numpy().tofile(handle)
    return _Encoded(dense, in_order(sparse), starts, counts)


def _order_vectors(staging: Path, found: _Encoded) -> None:
    """Put the token vectors in the order of the texts, some at a time."""
    total = int(found.counts.sum())
    unordered = staging / "unordered.bin"
    borders = np.zeros(len(found.counts) + 1, np.int64)
    np.cumsum(found.counts, out=borders[1:])
    np.save(staging / "vectors.starts.npy", borders)
    width = unordered.stat().st_size // (2 * total) if total else 0
    target = np.lib.format.open_memmap(
        staging / "vectors.npy", "w+", np.float16, shape=(total, width)
    )
    if total:
        source = np.memmap(unordered, np.float16, "r", shape=(total, width))
        shift = found.starts - borders[:-1]
        for first in range(0, total, _TOKENS):
            places = np.arange(first, min(total, first + _TOKENS))
            text = np.searchsorted(borders, places, side="right") - 1
            target[first : first + _TOKENS] = source[places + shift[text]]
    target.flush()
    unordered.unlink()


def _write_texts(folder: str, passages: Sequence[Passage]) -> None:
    columns = {name: [getattr(passage, name) for passage in passages] for name in PASSAGES.names}
    table = pa.Table.from_pydict(columns, PASSAGES)
    with (
        pa.OSFile(f"{folder}/texts.arrow", "wb") as sink,
        pa.ipc.new_file(sink, PASSAGES) as writer,
    ):
        writer.write_table(table, max_chunksize=len(passages) or None)


class Part:
    """A part that was written, memory-mapped: only what is asked for is read."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.dense_file = f"{folder}/dense.npy"
        self.sparse = Csr(*(self._array(f"sparse.{n}") for n in ("indptr", "tokens", "weights")))
        self.packed: scoring.Packed | None = None
        if (Path(folder) / "vectors.npy").exists():
            self.packed = scoring.Packed(
                torch.from_numpy(self._array("vectors")),
                torch.from_numpy(self._array("vectors.starts")),
            )
        self._texts = pa.ipc.open_file(pa.memory_map(f"{folder}/texts.arrow")).read_all()

    def __len__(self) -> int:
        return len(self.sparse)

    def _array(self, name: str) -> Any:
        path = f"{self.folder}/{name}.npy"
        array = np.load(path, mmap_mode="c")  # torch takes writable arrays only; nobody writes
        return array if array.size else np.array(array)

    def passage(self, number: int) -> Passage:
        """Return the passage `number` of this part."""
        [row] = self._texts.slice(number, 1).to_pylist()
        return Passage(**row)

    def languages(self) -> list[str]:
        """Return the languages of all passages."""
        found: list[str] = self._texts["language"].to_pylist()
        return found


def multi_vector(parts: Sequence[Part], starts: Ints, query: Embeddings, numbers: Ints) -> Floats:
    """Return s_mul of one query with the passages `numbers` (K,) of all parts: (K,)."""
    scores = np.zeros(len(numbers), np.float32)
    owner = np.searchsorted(starts, numbers, side="right") - 1
    for part in np.unique(owner).tolist():
        here = np.flatnonzero(owner == part)
        packed = parts[part].packed
        assert packed is not None, "the caller has checked that there are token vectors"
        wanted = torch.from_numpy(numbers[here] - starts[part])
        scores[here] = scoring.multi_vector_rescore(query, packed, wanted).cpu().numpy()
    return scores


Say = Callable[[str], None]
