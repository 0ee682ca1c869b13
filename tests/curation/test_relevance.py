"""The decision on ranks, and the ranges of its options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from curation.errors import ConfigError
from curation.relevance import RelevanceConfig, is_consistent


def test_a_rank_in_the_top_k_is_kept() -> None:
    """Ranks begin at 1; what was not ranked (0) is kept."""
    ranks = np.array([0, 1, 2, 3, 1000], np.int32)
    assert is_consistent(ranks, 2).tolist() == [True, True, True, False, False]
    assert is_consistent(ranks, 1).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "relevance.top_k"),
        ({"pool": 1}, "relevance.pool"),
        ({"batch_tokens": 1}, "relevance.batch_tokens"),
        ({"block_rows": 0}, "relevance.block_rows"),
        ({"seed": -1}, "relevance.seed"),
        ({"relations": ()}, "relevance.relations"),
        ({"relations": ("title",)}, "relevance.relations"),
        ({"index": ("text",)}, "relevance.index"),
        ({"dtype": "fp8"}, "relevance.dtype"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_out_of_range_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RelevanceConfig(**options)
