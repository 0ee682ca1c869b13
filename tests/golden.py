"""The tiny models and the batch on which this program and the reference are compared.

Weights come from numpy's frozen generator, one stream per parameter name, so that no weights need
to be stored; all texts of a side have one length, for the reference clamps scores of padded ones.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

from train.config import ModelConfig
from train.loss_config import LossConfig
from train.losses import m3_loss
from train.model import M3Model
from train.scoring import all_scores

GOLDEN_FILE = Path(__file__).parent / "train" / "golden" / "flagembedding.npz"
FAMILIES = ("xlm-roberta", "bert")
OBJECTIVES = {"unified": False, "unified + self-distillation": True}
TEMPERATURE = 0.02
HEADS = ("dense", "sparse", "multi_vector")
QUERIES, GROUP = 4, 3
# Standard deviations by the parameter's name; texts must differ more than they are alike.
_SPREADS = {"bias": 0.05, "word_embeddings.weight": 1.0, "sparse.weight": 0.05}
_SPREAD = 0.25

Parameters = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Case:
    """An encoder without dropout, its special ids, its heads' weights and token ids."""

    encoder: Any
    tokenizer: Any
    heads: dict[str, tuple[Tensor, Tensor]]
    """sparse and colbert: weight and bias."""
    queries: Tensor
    """(Q, Lq) ids."""
    passages: Tensor
    """(Q * G, Lp) ids; the first of each group is its query's positive."""


def build_case(family: str) -> Case:
    """Return the case of a family; equal in any process."""
    ids = {"xlm-roberta": (0, 1, 2, 3), "bert": (2, 0, 3, 1)}[family]
    cls, pad, end, unk = ids
    tokenizer = SimpleNamespace(
        cls_token_id=cls,
        pad_token_id=pad,
        eos_token_id=end,  # the reference needs it; BERT's tokenizers name it sep alone
        sep_token_id=end,
        unk_token_id=unk,
        padding_side="right",
    )
    encoder = _encoder(family, pad)
    for name, parameter in encoder.named_parameters():
        with torch.no_grad():
            parameter.copy_(_values(f"{family}.{name}", tuple(parameter.shape)))
            if name.endswith("LayerNorm.weight"):
                parameter.add_(1.0)
    heads = {
        "sparse": (_values("sparse.weight", (1, 16)), torch.full((1,), 0.6)),
        "colbert": (_values("colbert.weight", (16, 16)), _values("colbert.bias", (16,))),
    }
    return Case(
        encoder,
        tokenizer,
        heads,
        _token_ids("queries", QUERIES, 7, cls, end, unk),
        _token_ids("passages", QUERIES * GROUP, 13, cls, end, unk),
    )


def ours(family: str) -> Parameters:
    """Return what this program computes of a case, under the names of the golden file."""
    found: Parameters = {}
    for objective, distills in OBJECTIVES.items():
        case = build_case(family)
        model = M3Model(case.encoder, case.tokenizer, ModelConfig())
        for name, (weight, bias) in case.heads.items():
            model.get_submodule(f"{name}_linear").load_state_dict({"weight": weight, "bias": bias})
        model.train()
        parts = [model(ids, torch.ones_like(ids)) for ids in (case.queries, case.passages)]
        scores = all_scores(*parts)
        targets = torch.arange(QUERIES) * GROUP
        config = LossConfig(temperature=TEMPERATURE, self_distillation=distills)
        loss = m3_loss(scores, targets, config).total
        loss.backward()
        found[f"{family}/{objective}/loss"] = loss.detach().numpy()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            found[f"{family}/{objective}/gradient/{name}"] = parameter.grad.numpy()
        for head, values in zip(HEADS, scores, strict=True):
            found[f"{family}/{head}"] = values.detach().numpy()
    return found


def _encoder(family: str, pad: int) -> Any:
    shape = {
        "vocab_size": 44,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 20,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": pad,
        "type_vocab_size": 1 if family == "xlm-roberta" else 2,
    }
    kinds = {"xlm-roberta": (XLMRobertaConfig, XLMRobertaModel), "bert": (BertConfig, BertModel)}
    config, model = kinds[family]
    return model(config(**shape), add_pooling_layer=False)


def _generator(name: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(name.encode()))


def _values(name: str, shape: tuple[int, ...]) -> Tensor:
    spread = next((v for ending, v in _SPREADS.items() if name.endswith(ending)), _SPREAD)
    return torch.from_numpy(_generator(name).normal(0, spread, shape).astype(np.float32))


def _token_ids(name: str, count: int, length: int, cls: int, end: int, unk: int) -> Tensor:
    """Return ids of few kinds, so that tokens repeat and are shared; one of all is unknown."""
    ids = _generator(name).randint(5, 20, (count, length))
    ids[:, 0], ids[:, -1], ids[0, 2] = cls, end, unk
    return torch.from_numpy(ids.astype(np.int64))
