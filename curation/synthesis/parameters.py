"""What a server refuses to take: named by its error, left out or renamed from then on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_DROPPED = ("response_format", "temperature", "seed", "stop")
_ALIASES = {"json_schema": "response_format", "guided_json": "response_format"}
_REFUSES = re.compile(
    r"unsupported|not support|n't support|unknown|unrecogni[sz]ed|unexpected|not permitted"
    r"|not allowed|extra inputs|no longer|not available|incompatible|not implemented",
    re.IGNORECASE,
)


def refused_parameter(message: str, named: str, code: str, body: dict[str, Any]) -> str:
    """Return the parameter of `body` that an error says the server does not take; "" for none.

    `named` and `code` are the error's `param` and `code`; a value that is merely out of range
    is the user's to mend.
    """
    if not (code.startswith("unsupported") or _REFUSES.search(message)):
        return ""
    candidates: list[str] = [named.partition(".")[0], *re.findall(r"[a-z_]+", message)]
    for candidate in candidates:
        name = _ALIASES.get(candidate, candidate)
        if name in body and (name in _RENAMED or name in _DROPPED):
            return name
    return ""


def step_for(parameter: str) -> str:
    """Return the name of the step that avoids a parameter."""
    return _RENAMED.get(parameter) or f"no_{parameter}"


def stepped_down(body: dict[str, Any], steps: Sequence[str]) -> dict[str, Any]:
    """Return a body with these steps taken."""
    for step in steps:
        if step in _RENAMED:
            old = _RENAMED[step]
            body = {step if name == old else name: value for name, value in body.items()}
        else:
            body = {name: value for name, value in body.items() if f"no_{name}" != step}
    return body
