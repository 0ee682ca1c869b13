"""The scripted server, made anew for every test."""

from collections.abc import Iterator

import pytest

from tests.curation.synthesis.asking import prompt_of
from tests.llm_server import Reply, ScriptedServer, default_reply


@pytest.fixture
def server(llm_server: ScriptedServer) -> Iterator[ScriptedServer]:
    """The scripted server without memory; its usual script is put back afterwards."""
    llm_server.requests.clear()
    llm_server.script = lambda body: Reply(f"about {prompt_of(body)}")
    yield llm_server
    llm_server.script = default_reply
