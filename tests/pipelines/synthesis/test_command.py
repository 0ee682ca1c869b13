"""When `make synth` has something to do, and what its result depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation import storage
from curation.errors import BudgetError, ConfigError
from curation.synthesis.budget import Usage
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.endpoints import EndpointConfig
from pipelines.commands.synth import check_endpoint, has_unanswered, stage_for
from pipelines.commands.synth_decisions import what_is_left
from pipelines.config import load
from pipelines.stage import Stage
from pipelines.synthesis import estimate

DOCUMENTS = {"parts": [{"name": "part-00000.parquet", "sha256": "0"}], "rows": 1}


def test_a_run_without_a_model_is_refused() -> None:
    """An endpoint needs a model's name."""
    with pytest.raises(ConfigError, match=r"synthesis needs a model: set synthesis\.base_url"):
        check_endpoint(SynthesisConfig(base_url="http://x"))
    check_endpoint(SynthesisConfig(local_server="gemma-3-270m"))


@pytest.mark.parametrize(
    ("fingerprint", "unanswered", "expected"),
    [("own", 1, True), ("own", 0, False), ("other", 1, False), (None, 0, False)],
    ids=["missing", "all", "other-run", "no-report"],
)
def test_a_run_that_lacks_answers_is_told(
    tmp_path: Path, fingerprint: str | None, unanswered: int, expected: bool
) -> None:
    """Only the report of the same fingerprint counts."""
    stage = Stage(name="synth", out=str(tmp_path), outputs=(), config={}, inputs=[])
    if fingerprint:
        own = stage.fingerprint if fingerprint == "own" else fingerprint
        report = {"fingerprint": own, "totals": {"unanswered": unanswered}}
        storage.write_json(str(tmp_path / "reports/synth.json"), report)
    assert has_unanswered(stage) == expected


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        (["synthesis.judge.api_key_env=OTHER"], False),
        (["synthesis.round_trip.batch_tokens=64"], False),
        (["synthesis.concurrency=1"], False),
        (["synthesis.input_price=1.0"], False),
        (["synthesis.judge.input_price=1.0"], False),
        (["synthesis.judge.min_score=5"], True),
        (["synthesis.round_trip.top_k=1"], True),
        (["synthesis.near_duplicates.threshold=0.9"], True),
        (["synthesis.quotas.de=1"], True),
        (["model.max_passage_tokens=99"], True),
    ],
)
def test_what_the_result_depends_on(options: list[str], changes: bool) -> None:
    """Keys and batch sizes make no other questions; the encoder decides the round trip."""
    before, after = (stage_for(load(None, o), DOCUMENTS).fingerprint for o in ([], options))
    assert (before != after) is changes


def test_without_a_round_trip_the_encoder_only_counts_tokens() -> None:
    """Its options change nothing then, nor do those of the round trip."""
    off = ["synthesis.round_trip.enabled=false"]
    others = ["model.max_passage_tokens=99", "synthesis.round_trip.top_k=3"]
    one, two = (stage_for(load(None, o), DOCUMENTS).fingerprint for o in (off, off + others))
    assert one == two


@pytest.mark.parametrize(
    ("spent", "left"),
    [
        (Usage(requests=3, input_tokens=40, usd=0.5), (1.5, 60, 7)),
        (Usage(requests=10), None),
        (Usage(input_tokens=60, output_tokens=40), None),
        (Usage(usd=2.0), None),
    ],
)
def test_the_judge_has_what_the_questions_left(
    spent: Usage, left: tuple[float, int, int] | None
) -> None:
    """Caps are those of the run; one that is used up does not become no cap."""
    config = SynthesisConfig(
        base_url="http://x", model="m", input_price=1.0, output_price=1.0,
        max_usd=2.0, max_tokens=100, max_requests=10,
    )  # fmt: skip
    if left is None:
        with pytest.raises(BudgetError, match="is used up by the questions"):
            what_is_left(config, spent)
    else:
        found = what_is_left(config, spent)
        assert (found.max_usd, found.max_tokens, found.max_requests) == left
    free = SynthesisConfig(base_url="http://x", model="m")
    assert what_is_left(free, spent) == free


def test_the_estimate_takes_the_dearest_endpoint() -> None:
    """A dash where an endpoint has no price."""
    cheap, dear = (
        EndpointConfig(base_url=f"http://{name}", input_price=price, output_price=price)
        for name, price in (("a", 1.0), ("b", 2.0))
    )
    config = SynthesisConfig(model="m", endpoints=(cheap, dear))
    assert estimate.cost(1_000_000, 500_000, config) == "$3.0000"
    assert estimate.cost(1, 1, SynthesisConfig(base_url="http://x", model="m")) == "–"
