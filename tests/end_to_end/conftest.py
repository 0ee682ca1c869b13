"""One small real run of all five stages, shared by the tests that look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.command_line import Result, run
from tests.end_to_end import corpus
from tests.llm_server import ScriptedServer

STAGES = ("curate", "synth", "mine-negatives", "train", "evaluate")
KEY = "sk-very-secret-0123456789"


@dataclass(frozen=True)
class Run:
    """A corpus, a server, the config of a run over them and what its stages said."""

    config: Path
    out: Path
    corpus: Path
    server: ScriptedServer
    results: dict[str, Result] = field(default_factory=dict)
    authorizations: set[str] = field(default_factory=set)


@pytest.fixture(scope="session", autouse=True)
def _api_key() -> Iterator[None]:
    os.environ["THREEFOLD_TEST_KEY"] = KEY
    yield
    del os.environ["THREEFOLD_TEST_KEY"]


@pytest.fixture(scope="session")
def finished(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """All five stages, one after the other, without a fault."""
    folder = tmp_path_factory.mktemp("end-to-end")
    corpus.write_corpus(folder / "corpus")
    with ScriptedServer(corpus.answer) as server:
        config = corpus.write_config(
            folder / "run.toml",
            out=folder / "out",
            corpus=folder / "corpus",
            encoder=tiny_encoder,
            url=server.url,
        )
        done = Run(config, folder / "out", folder / "corpus", server)
        for stage in STAGES:
            done.results[stage] = run(stage, "--config", config)
            assert done.results[stage].code == 0, done.results[stage].err
        done.authorizations.update(server.authorizations)  # later tests ask without a key
        yield done


@pytest.fixture
def out_with(finished: Run, tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of output folders that hold copies of some folders of the finished run."""

    def make(*folders: str) -> Path:
        for name in folders:
            shutil.copytree(finished.out / name, tmp_path / "out" / name)
        return tmp_path / "out"

    return make
