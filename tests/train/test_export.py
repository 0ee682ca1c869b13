"""Exports give this program's vectors in other programs, or do not appear."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from curation.errors import ConfigError, InputError
from tests.builders import PARAGRAPH, TOPICS, articles
from tests.command_line import run
from tests.families import build_family
from train import export
from train.checkpoint import config_of, load, save
from train.config import ModelConfig
from train.model import M3Model
from train.scoring import Embeddings

torch.set_num_threads(1)

CONFIG = ModelConfig(max_query_tokens=64, max_passage_tokens=256)
TEXTS = [*(row["text"] for row in articles("es", 3)), PARAGRAPH * 4, "the sea"]


def with_weights(folder: str, config: ModelConfig) -> M3Model:
    model = load(folder, config)
    generator = torch.Generator().manual_seed(1)
    torch.nn.init.normal_(model.sparse_linear.weight, std=0.1, generator=generator)
    torch.nn.init.constant_(model.sparse_linear.bias, 1.5)
    return model


def embed(model: M3Model, texts: list[str], *, is_query: bool = False) -> Embeddings:
    with torch.no_grad():
        found: Embeddings = model(*model.pad(model.tokenize(texts, is_query=is_query)))
    return found


def check_onnx(model: M3Model, path: Path) -> None:
    """Compare all outputs for batches and lengths that the exporter did not see."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["input_ids", "attention_mask"]
    for texts in (TEXTS, TEXTS[-1:], TEXTS[1:3] * 4):
        ids, mask = model.pad(model.tokenize(texts, is_query=False))
        ours = embed(model, texts)
        assert (ours.weights > 0).any()
        theirs = session.run(
            ["dense", "token_weights", "token_vectors"],
            {"input_ids": ids.numpy(), "attention_mask": mask.numpy()},
        )
        for mine, other in zip(ours.tensors(), theirs, strict=True):
            assert other.dtype == np.float32
            np.testing.assert_allclose(other, mine.numpy(), atol=1e-4)


def test_onnx_has_three_outputs_equal_to_ours(tiny_encoder: str, tmp_path: Path) -> None:
    """By the command line, to FOLDER/onnx with the tokenizer; the differences are printed."""
    model = with_weights(tiny_encoder, replace(CONFIG, colbert_dim=16))
    save(model, str(tmp_path / "model"))
    shown = run("export", "--to", "onnx", str(tmp_path / "model")).out
    assert "largest difference from torch: dense " in shown
    assert "token_weights" in shown
    assert "token_vectors" in shown
    assert (tmp_path / "model" / "onnx" / "tokenizer.json").exists()
    check_onnx(model, tmp_path / "model" / "onnx" / "model.onnx")
    assert {p.name for p in tmp_path.iterdir()} == {"model"}


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_onnx_of_other_families(family: str, tmp_path: Path) -> None:
    """Token types, local attention and RoPE are exported too."""
    build_family(tmp_path / "model", family, [PARAGRAPH, *TOPICS.values()])
    model = with_weights(str(tmp_path / "model"), CONFIG)
    export.export_onnx(model, str(tmp_path / "onnx"))
    check_onnx(model, tmp_path / "onnx" / "model.onnx")


def test_sentence_transformers_folder_is_dense_with_prompts(
    tiny_encoder: str, tmp_path: Path
) -> None:
    """Mean pooling and E5's prompts; without the heads, which it could not use."""
    from sentence_transformers import SentenceTransformer

    e5 = replace(CONFIG, pooling="mean", query_prompt="query: ", passage_prompt="passage: ")
    save(load(tiny_encoder, e5), str(tmp_path / "model"))
    folder = tmp_path / "exported"
    shown = run(
        "export", "--to", "sentence-transformers", "--output", str(folder), str(tmp_path / "model")
    ).out
    assert "largest difference from torch: query " in shown
    assert not list(folder.glob("*.pt"))
    model = load(str(tmp_path / "model"), config_of(str(tmp_path / "model")))
    theirs = SentenceTransformer(str(folder), device="cpu")
    assert theirs.prompts["query"] == "query: "
    for encode, is_query in ((theirs.encode_query, True), (theirs.encode_document, False)):
        ours = embed(model, TEXTS, is_query=is_query).dense.numpy()
        np.testing.assert_allclose(encode(TEXTS), ours, atol=1e-5)


def test_an_export_that_differs_does_not_appear(
    tiny_encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other pooling files than the model's own pooling: an error with the difference."""
    model = load(tiny_encoder, CONFIG)
    written = export.write_encoder

    def with_mean(model: M3Model, folder: Path) -> None:
        written(model, folder)
        path = folder / "1_Pooling" / "config.json"
        settings = json.loads(path.read_text())
        changed = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
        path.write_text(json.dumps({**settings, **changed}))

    monkeypatch.setattr(export, "write_encoder", with_mean)
    message = r"differs from this program's \w+ by \d\.\de-0\d, more than 1e-04; it was not written"
    with pytest.raises(InputError, match=message):
        export.export_sentence_transformers(model, str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_missing_libraries_are_named(
    tiny_encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the extra to install, before any work."""
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs onnx, onnxscript, .*'threefold\[onnx\]'"):
        export.export_onnx(load(tiny_encoder, CONFIG), str(tmp_path / "out"))


def test_mcls_is_not_exported(tiny_encoder: str, tmp_path: Path) -> None:
    """Its tokens are put in by Python; silently leaving them out would give other vectors."""
    model = load(tiny_encoder, replace(CONFIG, mcls_tokens=8))
    with pytest.raises(ConfigError, match=r"model.mcls_tokens is not exported"):
        export.export_onnx(model, str(tmp_path / "out"))
