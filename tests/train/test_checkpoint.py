"""Checkpoints: read back by us and by others, and refused where anything is wrong."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from curation.errors import ConfigError, InputError, ThreefoldError
from tests.builders import articles
from train.checkpoint import config_of, load, save
from train.config import ModelConfig
from train.model import M3Model, weights_digest
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
    save(model, str(folder))
    again = load(str(folder), config, seed=99)
    assert weights_digest(again) == weights_digest(model)
    for a, b in zip(run(model, TEXTS).tensors(), run(again, TEXTS).tensors(), strict=True):
        assert torch.equal(a, b)
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_checkpoint_has_the_layout_of_bge_m3(model: M3Model, tmp_path: Path) -> None:
    """State dicts of two linear layers beside a Hugging Face encoder and tokenizer."""
    save(model, str(tmp_path / "model"))
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
    save(model, folder)
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
    save(model, str(tmp_path / "model"))
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


def _head(name: str, inputs: int, width: int) -> Callable[[Path], object]:
    return lambda folder: torch.save(torch.nn.Linear(inputs, width).state_dict(), folder / name)


def _no_bias(folder: Path) -> None:
    state = torch.nn.Linear(32, 1, bias=False).state_dict()
    torch.save(state, folder / "sparse_linear.pt")


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
    "head of another encoder": (
        _head("sparse_linear.pt", 64, 1),
        r"sparse_linear.pt is no head of this model: it has .*\(1, 64\).* not .*\(1, 32\)",
    ),
    "head of another width": (
        _head("colbert_linear.pt", 32, 16),
        "colbert_linear.pt is no head of this model: .* set model.colbert_dim = 16",
    ),
    "head without bias": (_no_bias, "sparse_linear.pt is no head .* needs a weight and a bias"),
    "settings of another kind": (_write("threefold.json", b"[]"), "is damaged: it is no JSON obj"),
    "cut settings": (_write("threefold.json", b"{"), "threefold.json is damaged"),
}


@pytest.fixture(scope="module")
def checkpoint(model: M3Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    save(model, str(folder))
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


class _Code:
    """Unpickled, it writes a file: what any command of an attacker could do."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.proof,)


def _remote_code(folder: Path, proof: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(proof)!r}, 'w').close()\n")
    for name, loader in (("config.json", "AutoModel"), ("tokenizer_config.json", "AutoTokenizer")):
        entry = "evil.Any" if loader == "AutoModel" else ["evil.Any", "evil.Any"]
        auto_map = {"AutoConfig": "evil.Any", loader: entry}
        _json(name, auto_map=auto_map, tokenizer_class="Evil", model_type="evil")(folder)


def _evil_head(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, proof: torch.save(_Code(proof), folder / name)


def _evil_tensors(folder: Path, proof: Path) -> None:
    state = torch.nn.Linear(32, 1).state_dict()
    torch.save({**state, "more": _Code(proof)}, folder / "sparse_linear.pt")


def _evil_weights(folder: Path, proof: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": _Code(proof)}, folder / "pytorch_model.bin")


def _old_evil_head(folder: Path, proof: Path) -> None:
    (folder / "colbert_linear.pt").write_bytes(pickle.dumps(_Code(proof), 2))


ATTACKS = {
    "sparse head": (_evil_head("sparse_linear.pt"), "sparse_linear.pt is no head .* run code"),
    "vector head": (_evil_head("colbert_linear.pt"), "colbert_linear.pt is no head .* run code"),
    "beside tensors": (_evil_tensors, "sparse_linear.pt is no head .* run code"),
    "bare pickle": (_old_evil_head, "colbert_linear.pt is no head .* run code"),
    "encoder": (_evil_weights, "holds no encoder that loads"),
    "modelling code": (_remote_code, "holds no encoder that loads"),
}


def test_the_attack_works_where_pickles_are_trusted(tmp_path: Path) -> None:
    """Else the tests below would prove nothing."""
    pickle.loads(pickle.dumps(_Code(tmp_path / "it-ran")))
    assert (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(("attack", "message"), ATTACKS.values(), ids=ATTACKS)
def test_code_in_a_checkpoint_does_not_run(
    checkpoint: Path, tmp_path: Path, attack: Callable[[Path, Path], None], message: str
) -> None:
    """Pickles with more than tensors and modelling code are refused, and told from damage."""
    folder, proof = tmp_path / "model", tmp_path / "it-ran"
    shutil.copytree(checkpoint, folder)
    attack(folder, proof)
    with pytest.raises(InputError, match=message) as caught:
        load(str(folder), CONFIG)
    assert not proof.exists()
    assert "weights_only=False" not in str(caught.value)  # torch's advice is not ours


def test_folder_like_bge_m3s_loads(checkpoint: Path, tmp_path: Path) -> None:
    """Weights as a pickle of tensors, no threefold.json; safetensors come first where both are."""
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    for name in ("model.safetensors", "threefold.json", "modules.json"):
        (folder / name).unlink()
    expected = weights_digest(load(str(checkpoint), CONFIG))
    assert weights_digest(load(str(folder), CONFIG)) == expected
    torch.save({k: v + 1 for k, v in weights.items()}, folder / "pytorch_model.bin")
    assert weights_digest(load(str(folder), CONFIG)) != expected
    shutil.copy(checkpoint / "model.safetensors", folder)
    assert weights_digest(load(str(folder), CONFIG)) == expected


def test_config_is_read_from_the_folder(tiny_encoder: str, tmp_path: Path) -> None:
    """What a checkpoint was trained with, as long as it takes; BGE-M3's settings without."""
    save(load(tiny_encoder, replace(E5, colbert_dim=16)), str(tmp_path / "ours"))
    found = config_of(str(tmp_path / "ours"))
    expected = replace(E5, encoder=str(tmp_path / "ours"), colbert_dim=16)
    assert found == replace(expected, max_query_tokens=512, max_passage_tokens=512)
    (tmp_path / "ours" / "threefold.json").unlink()
    plain = ModelConfig(encoder=str(tmp_path / "ours"), colbert_dim=16, max_passage_tokens=512)
    assert config_of(str(tmp_path / "ours")) == plain
    with pytest.raises(InputError, match=r"holds no config.json: it is no Hugging"):
        config_of(str(tmp_path))


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
