"""What is asked after an answer that was cut short: the same with twice the tokens, once."""

from __future__ import annotations

from curation.synthesis.requests import Request, request_key
from curation.synthesis.responses import Response

_CAPS = ("max_tokens", "max_completion_tokens")


def follow_up(request: Request, response: Response) -> Request | None:
    """Return the request for a longer answer; None where this one is whole or a second try."""
    cap = next((name for name in _CAPS if name in request.body), "")
    if response.finish_reason != "length" or request.follows or not cap:
        return None
    body = request.body | {cap: 2 * request.body[cap]}
    key = request_key(body, f"follows {request.key}")
    return Request(key, request.kind, body, request.language, follows=request.key)
