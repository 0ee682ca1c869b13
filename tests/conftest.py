"""Fixtures: a tiny encoder, a scripted LLM server, the folder of real data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.builders import PARAGRAPH, TOPICS
from tests.llm_server import ScriptedServer

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads of tiny models wait for each other

# A gate must not depend on luck: there, properties try the same examples every time.
settings.register_profile("gate", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("gate")


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An XLM-R encoder of 2 layers with a 400-piece tokenizer, weights wide enough to differ."""
    from tests.tiny import build_encoder

    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    build_encoder(folder, [PARAGRAPH, *TOPICS.values(), "What is it? Où est-ce ? ¿Dónde está?"])
    return str(folder)


@pytest.fixture(scope="session")
def llm_server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real corpora; tests that want it skip where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("THREEFOLD_DATA", default))
    if not (folder / "MANIFEST.md").exists():
        pytest.skip(f"no real data at {folder}; set THREEFOLD_DATA")
    return folder
