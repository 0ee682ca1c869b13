"""Checkpoints for other programs: ONNX (all three heads) and sentence-transformers (dense).

Every export is compared with this program's own vectors before it appears in its place.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from curation.errors import ConfigError, InputError, first_line
from train import folders, positions
from train.checkpoint import write_encoder, write_tokenizer
from train.model import M3Model

ONNX_FILE = "model.onnx"
OUTPUTS = ("dense", "token_weights", "token_vectors")
MAX_DIFFERENCE = 1e-4
_LONG = 200  # sentences of the longest sample: about 1,600 tokens
_SAMPLES = (
    "The lighthouse keeper climbs the stairs every evening.",
    "a",
    "灯台守は毎晩階段を上る。",
    "Le gardien monte les marches chaque soir. " * 5,
)


class _Outputs(nn.Module):
    """The model as a function of tensors."""

    def __init__(self, model: M3Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.model(input_ids, attention_mask)
        return found.dense, found.weights, found.vectors


def export_onnx(model: M3Model, folder: str) -> dict[str, float]:
    """Write `model.onnx` and the tokenizer; return the largest difference of each output.

    Inputs: input_ids, attention_mask, both (batch, length) int64, of any batch and length. Outputs,
    fp32: dense (batch, d), L2-normalised; token_weights (batch, length), 0 at special tokens (a
    text's weight of a token is the largest of its places); token_vectors (batch, length, c),
    L2-normalised, 0 at the first token and at padding. Raises `InputError` above 1e-4.
    """
    _require("onnx", "onnxscript", "onnxruntime", extra="onnx")
    if model.config.mcls_tokens:
        raise ConfigError(
            "model.mcls_tokens is not exported: its tokens are put in by this program"
        )
    with folders.replacing(folder) as staging:
        _write_onnx(model.eval(), staging / ONNX_FILE)
        write_tokenizer(model, staging)
        found = _onnx_differences(model, staging / ONNX_FILE)
        _check(found, folder)
    return found


def export_sentence_transformers(model: M3Model, folder: str) -> dict[str, float]:
    """Write encoder, tokenizer, pooling and prompts alone; return the largest difference.

    A checkpoint of ours loads in sentence-transformers as it is; this folder has no heads, and
    makes one of a checkpoint that lacks those files. Raises `InputError` above 1e-4.
    """
    _require("sentence_transformers", extra="dev")
    with folders.replacing(folder) as staging:
        write_encoder(model, staging)
        found = _sentence_transformers_differences(model.eval(), staging)
        _check(found, folder)
    return found


def _write_onnx(model: M3Model, path: Path) -> None:
    inputs = model.pad(model.tokenize(_SAMPLES[:2], is_query=False))
    batch = torch.export.Dim("batch")
    length = torch.export.Dim("length", max=positions.limit(model.encoder) or 1 << 20)
    shape = {0: batch, 1: length}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # tells of libraries not installed
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter's own, about its own libraries
            program = torch.onnx.export(
                _Outputs(model),
                inputs,
                dynamo=True,
                verbose=False,
                input_names=["input_ids", "attention_mask"],
                output_names=OUTPUTS,
                dynamic_shapes=(shape, shape),
            )
            assert program is not None
            program.save(path)
    except torch.onnx.errors.OnnxExporterError as error:
        kind = model.encoder.config.model_type
        raise InputError(f"this {kind} encoder has no ONNX form: {first_line(error)}") from error


def _onnx_differences(model: M3Model, path: Path) -> dict[str, float]:
    """Return each output's largest difference over batches of several sizes and lengths."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batches = (_SAMPLES, _SAMPLES[:1], (_SAMPLES[0] * _LONG, *_SAMPLES[:2]))
    found = dict.fromkeys(OUTPUTS, 0.0)
    for texts in batches:
        ids, mask = model.pad(model.tokenize(texts, is_query=False))
        with torch.no_grad():
            ours = model(ids, mask).tensors()
        feed = {"input_ids": ids.cpu().numpy(), "attention_mask": mask.cpu().numpy()}
        for name, expected, value in zip(OUTPUTS, ours, session.run(OUTPUTS, feed), strict=True):
            found[name] = max(found[name], _difference(expected, value))
    return found


def _sentence_transformers_differences(model: M3Model, folder: Path) -> dict[str, float]:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(folder), device="cpu")
    found = {}
    sides = (("query", True, theirs.encode_query), ("document", False, theirs.encode_document))
    for name, is_query, encode in sides:
        with torch.no_grad():
            ours = model(*model.pad(model.tokenize(_SAMPLES, is_query=is_query))).dense
        found[name] = _difference(ours, encode(list(_SAMPLES)))
    return found


def _difference(ours: Tensor, theirs: Any) -> float:
    return float((ours.cpu() - torch.as_tensor(theirs)).abs().max())


def _check(found: dict[str, float], folder: str) -> None:
    worst = max(found, key=lambda name: found[name])
    if not found[worst] <= MAX_DIFFERENCE:
        raise InputError(
            f"the export to {folder} differs from this program's {worst} by {found[worst]:.1e}, "
            f"more than {MAX_DIFFERENCE:.0e}; it was not written"
        )


def _require(*modules: str, extra: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"this export needs {', '.join(missing)}; install it: pip install 'threefold[{extra}]'"
        )
