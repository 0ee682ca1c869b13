"""Precision by device, and compiling the encoder."""

from __future__ import annotations

import shutil

import pytest
import torch

from curation.errors import ConfigError
from tests.train.steps import largest_difference, questions, run_step
from train import precision
from train.config import ModelConfig
from train.model import load
from train.precision import compile_encoder, has_bf16, resolve_precision
from train.step import Execution

torch.set_num_threads(1)

CPU = torch.device("cpu")
CONFIG = ModelConfig(max_query_tokens=64, max_passage_tokens=256)


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx2": True}, "fp32"),
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True, "avx512_bf16": False}, "bf16"),
    ],
    ids=str,
)
def test_auto_takes_bf16_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], expected: str
) -> None:
    """A named precision is taken as it is."""
    monkeypatch.setattr(precision, "_capabilities", lambda: able)
    assert resolve_precision("auto", CPU) == expected
    assert resolve_precision("bf16", CPU) == "bf16"
    assert resolve_precision("fp32", CPU) == "fp32"


def test_other_devices_compute_fp32() -> None:
    """What is not known to have bf16 does not get it."""
    assert not has_bf16(torch.device("mps"))


def test_missing_compiler_is_named(tiny_encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is missing and the option; nothing is compiled later, amid training."""
    torch._dynamo.reset()
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
    with pytest.raises(ConfigError, match=r"train.compile = true needs a C\+\+ compiler"):
        compile_encoder(load(tiny_encoder, CONFIG))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_compiled_equals_eager(tiny_encoder: str, dropout: float) -> None:
    """Loss and gradients within rounding; with dropout cached equals kept."""
    execution = Execution(budget=300)
    plain = run_step(load(tiny_encoder, CONFIG), questions(), execution)
    model = load(tiny_encoder, CONFIG)
    compile_encoder(model)
    found = run_step(model, questions(), execution, dropout=dropout)
    if dropout:
        kept = Execution(budget=300, memory="plain")
        plain = run_step(model, questions(), kept, dropout=dropout)
    assert found[0].total == pytest.approx(plain[0].total, rel=1e-5)
    assert largest_difference(plain[1], found[1]) < 1e-4
    assert model.state_dict().keys() == load(tiny_encoder, CONFIG).state_dict().keys()
