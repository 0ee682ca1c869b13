"""Long texts through the encoder with one layer's activations at a time.

A sub-batch is never smaller than one text. Of a text of 8,192 tokens all layers' activations take
2.6 GB (multilingual-e5-small), whatever the sub-batches; with the layers' inputs alone kept, each
layer is computed again in the backward pass: a third more work, and only for such texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def is_possible(encoder: Any) -> bool:
    """Tell whether an encoder's layers can be computed again: no compiled graph, and its code can.

    An encoder that is not training keeps nothing to save on.
    """
    compiled = getattr(encoder, "_compiled_call_impl", None) is not None
    supported = getattr(encoder, "supports_gradient_checkpointing", False)
    return bool(supported) and bool(encoder.training) and not compiled


@contextmanager
def layer_by_layer(encoder: Any, wanted: bool) -> Iterator[None]:
    """Keep only the layers' inputs of what is encoded inside the block, where it is `wanted`."""
    if not wanted or not is_possible(encoder):
        yield
        return
    # called gradient_checkpointing_ by older releases of transformers
    name = "activation" if hasattr(encoder, "activation_checkpointing_enable") else "gradient"
    cached = getattr(encoder.config, "use_cache", False)
    if cached:  # an option for decoders that encoders have too; a warning would say it is ignored
        encoder.config.use_cache = False
    getattr(encoder, f"{name}_checkpointing_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        getattr(encoder, f"{name}_checkpointing_disable")()
        if cached:
            encoder.config.use_cache = True
