"""Vectors of an OpenAI-compatible embedding server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from curation.errors import ServiceError
from mining.encode import Report, Vectors
from pipelines.evaluation.baselines import Embedder, normalised
from pipelines.evaluation.config import EvaluationModel

_RETRIES = 6  # of the client: on 408, 409, 429 and 5xx, with growing waits or as Retry-After says
_SECONDS = 120.0


def endpoint(wanted: EvaluationModel) -> Embedder:
    """Return the embedder of a server; the key is read from the environment and nowhere kept."""
    import openai

    client = openai.OpenAI(
        base_url=wanted.url,
        api_key=os.environ.get(wanted.key_env) or "none",  # the client wants one; servers ignore it
        max_retries=_RETRIES,
        timeout=_SECONDS,
    )

    def embed(texts: Sequence[str], *, is_query: bool, report: Report | None = None) -> Vectors:
        prompt = wanted.query_prompt if is_query else wanted.passage_prompt
        size = wanted.batch_size
        batches = [
            [prompt + text or " " for text in texts[start : start + size]]  # no server takes ""
            for start in range(0, len(texts), size)
        ]
        parts: list[Vectors] = []
        with ThreadPoolExecutor(wanted.concurrency) as pool:
            for part in pool.map(lambda batch: _vectors(client, wanted, batch), batches):
                parts.append(part)
                if report:
                    report(sum(map(len, parts)), 0)
        return normalised(np.concatenate(parts))

    return embed


def _vectors(client: Any, wanted: EvaluationModel, batch: list[str]) -> Vectors:
    """Return the vectors of one request, in the order of its texts."""
    import openai

    try:
        answer = client.embeddings.create(model=wanted.model, input=batch, encoding_format="float")
    except openai.APIStatusError as error:
        raise ServiceError(
            f"{wanted.url} answers {error.status_code} for model {wanted.model!r}: "
            f"{_told(error)}; check evaluation.models and ${wanted.key_env}"
        ) from None
    except openai.OpenAIError as error:
        raise ServiceError(
            f"{wanted.url} does not answer ({type(error).__name__}); is the server running?"
        ) from None
    rows = sorted(answer.data, key=lambda item: item.index)
    if [row.index for row in rows] != list(range(len(batch))):
        raise ServiceError(f"{wanted.url} gives {len(rows)} vectors for {len(batch)} texts")
    return np.array([row.embedding for row in rows], np.float32)


def _told(error: Any) -> str:
    """Return what the server says, without what it may repeat of the request's key."""
    text = error.message.splitlines()[0][:200] if error.message else "no message"
    key = error.request.headers.get("authorization", "").removeprefix("Bearer ")
    return text.replace(key, "[key]") if len(key) > 4 else text
