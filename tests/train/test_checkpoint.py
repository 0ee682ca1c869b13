"""Checkpoints: read back by us and by others, and refused where anything is wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from curation.errors import ConfigError, InputError, ThreefoldError
from tests.builders import articles
from train.config import ModelConfig
from train.model import M3Model, load, weights_digest
from train.scoring import Embeddings

torch.set_num_threads(1)

CONFIG = ModelConfig(max_query_tokens=64, max_passage_tokens=256)
E5 = replace(CONFIG, pooling="mean", query_prompt="query: ", passage_prompt="passage: ")
TEXTS = [*(row["text"] for row in articles("fr", 3)), "the sea"]


@pytest.fixture(scope="module")
def model(tiny_encoder: str) -> M3Model:
    return load(tiny_encoder, CONFIG)


def run(model: M3Model, texts: list[str], *, is_query: bool = False) -> Embeddings:
    with torch.no_grad():
        found: Embeddings = model(*model.pad(model.tokenize(texts, is_query=is_query)))
    return found


@pytest.mark.parametrize("dim", [0, 16])
def test_round_trip_is_bit_equal(tiny_encoder: str, tmp_path: Path, dim: int) -> None:
    """A checkpoint read back gives the same embeddings, whatever the seed."""
    config = replace(CONFIG, colbert_dim=dim)
    model = load(tiny_encoder, config, seed=3)
    folder = tmp_path / "deep" / "model"
    model.save(str(folder))
    again = load(str(folder), config, seed=99)
    assert weights_digest(again) == weights_digest(model)
    for a, b in zip(run(model, TEXTS).tensors(), run(again, TEXTS).tensors(), strict=True):
        assert torch.equal(a, b)
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_checkpoint_has_the_layout_of_bge_m3(model: M3Model, tmp_path: Path) -> None:
    """State dicts of two linear layers beside a Hugging Face encoder and tokenizer."""
    model.save(str(tmp_path / "model"))
    shapes = {
        name: {k: tuple(v.shape) for k, v in torch.load(path, weights_only=True).items()}
        for name in ("sparse", "colbert")
        for path in [tmp_path / "model" / f"{name}_linear.pt"]
    }
    assert shapes == {
        "sparse": {"weight": (1, 32), "bias": (1,)},
        "colbert": {"weight": (32, 32), "bias": (32,)},
    }
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "modules.json"} <= names


def test_checkpoint_loads_in_transformers(model: M3Model, tmp_path: Path) -> None:
    """The first state of a plain AutoModel is the dense vector."""
    folder = str(tmp_path / "model")
    model.save(folder)
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder, add_pooling_layer=False)(**tokens)[0]
    dense = normalize(hidden[0, 0], dim=0)
    torch.testing.assert_close(run(model, TEXTS[:1]).dense[0], dense, atol=1e-5, rtol=0)


@pytest.mark.parametrize("config", [CONFIG, E5], ids=["cls", "mean, prompts"])
def test_checkpoint_loads_in_sentence_transformers(
    tiny_encoder: str, tmp_path: Path, config: ModelConfig
) -> None:
    """Its query and document vectors are our dense ones, pooling and prompts included."""
    from sentence_transformers import SentenceTransformer

    config = replace(config, max_query_tokens=40, max_passage_tokens=40)
    model = load(tiny_encoder, config)
    model.save(str(tmp_path / "model"))
    assert json.loads((tmp_path / "model" / "1_Pooling" / "config.json").read_text()) == {
        "word_embedding_dimension": 32,
        "pooling_mode_cls_token": config.pooling == "cls",
        "pooling_mode_mean_tokens": config.pooling == "mean",
    }
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    assert theirs.max_seq_length == 40
    for encode, is_query in ((theirs.encode_query, True), (theirs.encode_document, False)):
        ours = run(model, TEXTS, is_query=is_query).dense.numpy()
        np.testing.assert_allclose(encode(TEXTS), ours, atol=1e-5)


def test_saving_over_a_checkpoint_replaces_it(model: M3Model, tmp_path: Path) -> None:
    """Files of the earlier one are gone."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "stale.txt").write_text("old")
    model.save(str(tmp_path / "model"))
    assert not (tmp_path / "model" / "stale.txt").exists()
    assert weights_digest(load(str(tmp_path / "model"), CONFIG)) == weights_digest(model)


def test_failed_saving_leaves_the_old_checkpoint(
    model: M3Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk in the middle removes the half-written folder only."""
    model.save(str(tmp_path / "model"))

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space left"):
        model.save(str(tmp_path / "model"))
    assert os.listdir(tmp_path) == ["model"]
    assert weights_digest(load(str(tmp_path / "model"), CONFIG)) == weights_digest(model)


def test_digest_tells_any_changed_weight(tiny_encoder: str) -> None:
    """One number in any of the weights changes the digest."""
    model = load(tiny_encoder, CONFIG)
    seen = {weights_digest(model)}
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.view(-1)[-1] += 1
        seen.add(weights_digest(model))
    assert len(seen) == 1 + len(list(model.parameters()))


def _json(name: str, **changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def _write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def _remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def _other_weights(folder: Path) -> None:
    save_file({"other": torch.zeros(3)}, folder / "model.safetensors", {"format": "pt"})


def _other_head(folder: Path) -> None:
    torch.save(torch.nn.Linear(64, 1).state_dict(), folder / "sparse_linear.pt")


NO_PAD = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": None}
DAMAGES = {
    "no config": (_remove("config.json"), "holds no config.json"),
    "cut config": (_write("config.json", b"{"), "holds no encoder that loads"),
    "unknown kind": (_json("config.json", model_type="nothing"), "holds no encoder that loads"),
    "no weights": (_remove("model.safetensors"), "holds no encoder that loads"),
    "cut weights": (_write("model.safetensors", b"\x10\0\0\0"), "holds no encoder that loads"),
    "other weights": (_other_weights, r"lack 37 of the encoder's, as embeddings\.LayerNorm\.bias"),
    "other width": (_json("config.json", hidden_size=64), "holds no encoder that loads"),
    "no tokenizer": (_remove("tokenizer.json"), "holds no tokenizer.json"),
    "cut tokenizer": (_write("tokenizer.json", b"{}"), "the tokenizer of .* does not load"),
    "no padding": (_json("tokenizer_config.json", **NO_PAD), "defines no pad_token; M3 needs one"),
    "cut sparse head": (_write("sparse_linear.pt", b"x"), "sparse_linear.pt is no head of this"),
    "cut vector head": (_write("colbert_linear.pt", b""), "colbert_linear.pt is no head of this"),
    "head of another width": (_other_head, "sparse_linear.pt is no head of this model"),
    "cut settings": (_write("threefold.json", b"{"), "threefold.json is damaged"),
}


@pytest.fixture(scope="module")
def checkpoint(model: M3Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    model.save(str(folder))
    return folder


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_checkpoint_is_refused(
    checkpoint: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    """Missing, cut or foreign files raise one clear error; random weights never stand in."""
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        load(str(folder), CONFIG)
    assert isinstance(caught.value, ThreefoldError)
    assert str(folder) in str(caught.value)


def test_tokenizer_larger_than_the_encoder_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    """Its ids would be out of range in the middle of a run."""
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.add_tokens(["lighthouse!"])
    tokenizer.save_pretrained(str(folder))
    with pytest.raises(InputError, match=rf"has {len(tokenizer)} tokens, the encoder \d+"):
        load(str(folder), CONFIG)


def test_missing_head_starts_from_the_seed(checkpoint: Path, tmp_path: Path) -> None:
    """A folder with one head keeps it; the other is new."""
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    (folder / "colbert_linear.pt").unlink()
    whole, part = load(str(checkpoint), CONFIG), load(str(folder), CONFIG, seed=8)
    assert torch.equal(part.sparse_linear.weight, whole.sparse_linear.weight)
    assert not torch.equal(part.colbert_linear.weight, whole.colbert_linear.weight)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("pooling", "mean", "model.pooling = 'mean', but .* was trained with 'cls'"),
        ("query_prompt", "query: ", "model.query_prompt = 'query: ', but .* trained with ''"),
        ("passage_prompt", "p: ", "model.passage_prompt = 'p: ', but .* trained with ''"),
        ("colbert_dim", 16, "model.colbert_dim = 16, but .* was trained with 0"),
    ],
)
def test_config_may_not_contradict_the_checkpoint(
    checkpoint: Path, option: str, value: object, message: str
) -> None:
    """Vectors of another pooling, prompt or width would be wrong without a word."""
    with pytest.raises(ConfigError, match=message):
        load(str(checkpoint), replace(CONFIG, **{option: value}))
