"""Which processes a run has, by the environment that launchers set."""

from __future__ import annotations

import pytest
import torch

from curation.errors import ConfigError
from train import launch

NAMES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_alone_nothing_is_joined_and_everything_answers() -> None:
    with launch.processes() as device:
        assert device.type in ("cpu", "cuda")
        assert not torch.distributed.is_initialized()
        assert (launch.rank(), launch.world_size()) == (0, 1)
        assert launch.first_says("a") == "a"
        assert launch.all_say("a") == ["a"]
        assert [launch.any_says(flag) for flag in (False, True)] == [False, True]
        launch.meet()


@pytest.mark.parametrize("given", [0, 1, 2, 3])
def test_an_environment_of_no_launcher_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: int
) -> None:
    """Some clusters set WORLD_SIZE for every job; waiting for others would take an hour."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    wanted = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    for name in wanted[:given]:
        monkeypatch.setenv(name, "0")
    with (
        pytest.raises(ConfigError, match=f"WORLD_SIZE = 2, but no {wanted[given]}: start several"),
        launch.processes(),
    ):
        pass


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how many to start."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in (("WORLD_SIZE", "3"), ("LOCAL_RANK", "2"), ("LOCAL_WORLD_SIZE", "3")):
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(ConfigError, match="started 3 processes on a node with 2 GPUs; start it"),
        launch.processes(),
    ):
        pass
