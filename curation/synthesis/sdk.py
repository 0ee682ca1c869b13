"""Requests through the `openai` SDK: for endpoints behind a proxy, which it knows how to use."""

from __future__ import annotations

from typing import Any

import openai

from curation.synthesis.connections import UnreachableError
from curation.synthesis.http1 import BrokenReplyError, Reply
from curation.synthesis.requests import Kind

_NAMED = ("model", "messages", "prompt")  # what `create` wants by name; the rest goes as it is


class SdkPool:
    """The SDK without its retries and its patience: both are the client's."""

    def __init__(self, base_url: str, key: str) -> None:
        self._client = openai.AsyncOpenAI(
            base_url=base_url, api_key=key, max_retries=0, timeout=3600.0
        )

    async def post(self, kind: Kind, body: dict[str, Any]) -> Reply:
        """Send a request and return the answer as it came, whatever its status."""
        named = {name: body[name] for name in _NAMED if name in body}
        rest = {name: value for name, value in body.items() if name not in _NAMED}
        api: Any = (
            self._client.completions if kind == "completion" else self._client.chat.completions
        )
        try:
            answer = await api.with_raw_response.create(**named, extra_body=rest)
            response = answer.http_response
        except openai.APIStatusError as error:
            response = error.response
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            if type(cause).__name__ in ("ConnectError", "ProxyError", "UnsupportedProtocol"):
                raise UnreachableError(str(cause)) from error
            raise BrokenReplyError(str(cause) or type(cause).__name__) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(int(response.status_code), headers, bytes(response.content))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
