"""Texts through the encoder end to end, without padding, where the encoder and the device allow it.

A batch of texts of mixed length is a quarter padding even in sorted sub-batches (1.28 to 1.37 times
the tokens, rows of the training sets). Linear layers do not care where a text begins; attention
does (`train.attention`), and so do positions, which are given.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from train.attention import attend
from train.dropout import quicken
from train.positions import learned_positions

_NAME = "threefold"
_FAMILIES = ("bert", "roberta", "xlm-roberta")
"""Whose attention is among all tokens of a text, with nothing else that depends on positions."""


def prepare(encoder: Any) -> None:
    """Let an encoder of a known family take packed texts; its dropout becomes a quicker one."""
    quicken(encoder)
    if encoder.config.model_type not in _FAMILIES or encoder.config.is_decoder:
        return
    try:
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.masking_utils import sdpa_mask
    except ImportError:  # before transformers 4.53
        return
    if not getattr(encoder, "_supports_attention_backend", False):
        return
    AttentionInterface.register(_NAME, attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    encoder.config._attn_implementation = _NAME


def is_packable(encoder: Any, mask: Tensor) -> bool:
    """Tell whether texts with this attention mask should be packed.

    Only on a CPU: on CUDA torch's kernels do dropout, and sorted sub-batches have little padding.
    """
    if encoder.config._attn_implementation != _NAME or mask.device.type != "cpu":
        return False
    if torch.compiler.is_compiling() or _is_compiled(encoder):
        return False
    return bool(encoder.training) or not bool(mask.all())


def _is_compiled(encoder: Any) -> bool:
    return getattr(encoder, "_compiled_call_impl", None) is not None


def states(encoder: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Return the last states (N, L, d) of (N, L) ids; those of padding are unspecified."""
    if not is_packable(encoder, mask):
        found: Tensor = encoder(input_ids=ids, attention_mask=mask)[0]
        return found
    real = mask.bool()
    places = (real.cumsum(1) - 1)[real] + learned_positions(encoder)
    packed = encoder(
        input_ids=ids[real][None],
        position_ids=places[None],
        text_lengths=tuple(real.sum(1).tolist()),
    )[0][0]
    padded: Tensor = packed.new_zeros(*ids.shape, packed.shape[1])
    return padded.masked_scatter(real[..., None], packed)
