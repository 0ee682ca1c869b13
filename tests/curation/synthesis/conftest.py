"""A scripted server for every test: late requests of the last test must not count in the next."""

from collections.abc import Iterator

import pytest

from tests.curation.synthesis.asking import prompt_of
from tests.llm_server import Reply, ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that answers every prompt with its name."""
    with ScriptedServer(lambda body: Reply(f"about {prompt_of(body)}")) as scripted:
        yield scripted
