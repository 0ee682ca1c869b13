"""The `[mining]` table: defaults, and wrong values refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from curation.errors import ConfigError
from curation.records import RELATIONS
from mining.config import MiningConfig

NAN = float("nan")


def test_defaults() -> None:
    """7 negatives of the best 200, below 0.95 of the positive's score."""
    config = MiningConfig()
    assert (config.negatives, config.depth, config.first_rank) == (7, 200, 0)
    assert (config.max_positive_ratio, config.sampling) == (0.95, "top")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("sampling", "tops", "unknown mining.sampling 'tops': did you mean 'top'? valid: random"),
        (
            "relations",
            ("titel-body",),
            "unknown mining.relations 'titel-body': did you mean 'title",
        ),
        ("limits", {"sections": 5}, "unknown mining.limits 'sections': did you mean 'section'?"),
        ("limits", {"section": -1}, "mining.limits.section = -1 is outside 0 .."),
        ("negatives", -1, "mining.negatives = -1"),
        ("depth", 0, "mining.depth = 0 is outside 1 .. 100000"),
        ("first_rank", -1, "mining.first_rank = -1"),
        ("max_positive_ratio", NAN, "mining.max_positive_ratio = nan"),
        ("max_positive_ratio", -0.1, "mining.max_positive_ratio = -0.1"),
        ("part_mb", 0.0, "mining.part_mb = 0.0"),
        ("seed", -1, "mining.seed = -1"),
        ("pool", "all", "unknown mining.pool 'all': valid: cross-lingual, language, mixed"),
        ("negatives_from", "mine", "unknown mining.negatives_from 'mine': did you mean 'mined'?"),
        ("starved", "few", "unknown mining.starved 'few': did you mean 'fewer'?"),
        ("fusion", "sum", "unknown mining.fusion 'sum': valid: rrf, weighted"),
        ("filters", ("title",), "unknown mining.filters 'title': did you mean 'same_title'?"),
        ("sources", ("bm2",), "unknown mining.sources 'bm2': did you mean 'bm25'?"),
        ("sources", (), "mining.sources = [] must name one or more of dense, sparse, bm25"),
        ("sources", ("dense",) * 2, "mining.sources = ['dense', 'dense'] must name"),
        ("fusion_weights", (1.0,), "mining.fusion_weights goes with mining.fusion = 'weighted'"),
        (
            "fusion",
            "weighted",
            "mining.fusion = 'weighted' goes with two or more mining.sources only",
        ),
        (
            "fusion_constant",
            9.0,
            "mining.fusion_constant = 9.0 goes with mining.fusion = 'rrf' and",
        ),
        ("simans_a", 2.0, "mining.simans_a = 2.0 goes with mining.sampling = 'simans' only"),
        ("simans_b", -0.1, "mining.simans_b = -0.1 goes with mining.sampling = 'simans' only"),
        ("last_rank", 3, "mining.last_rank = 3 leaves 3 candidates after first_rank = 0"),
        ("absolute_margin", NAN, "mining.absolute_margin = nan"),
        ("near_duplicate_threshold", 0.0, "mining.near_duplicate_threshold = 0.0"),
    ],
)
def test_wrong_value_is_refused_by_name(option: str, value: Any, message: str) -> None:
    """The message begins with the option; names get the nearest valid one."""
    with pytest.raises(ConfigError) as caught:
        MiningConfig(**{option: value})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("option", ["relations", "limits"])
def test_unknown_relation_lists_all_valid_ones(option: str) -> None:
    """All eight relations are named."""
    with pytest.raises(ConfigError) as caught:
        MiningConfig(**{option: {"nonsense": 1}})  # type: ignore[arg-type]
    assert str(caught.value).endswith(f"valid: {', '.join(sorted(RELATIONS))}")


def test_every_relation_is_accepted() -> None:
    """With a limit or without."""
    config = MiningConfig(relations=RELATIONS, limits=dict.fromkeys(RELATIONS, 0))
    assert config.relations == RELATIONS
