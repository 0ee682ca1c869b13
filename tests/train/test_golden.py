"""Scores, loss and every gradient equal FlagEmbedding 1.4.2's on the same weights and batch.

The golden numbers were written by `benchmarks.oracle`, which also compares live.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests import golden


@pytest.mark.parametrize("family", golden.FAMILIES)
def test_scores_loss_and_gradients_equal_the_references(family: str) -> None:
    """48 scores per head, two losses and the gradients of 5,800 weights, within 1e-5.

    Relative to a tensor's largest number where that is above 1: gradients reach 19 at temperature
    0.02, and fp32 has seven digits.
    """
    with np.load(golden.GOLDEN_FILE) as stored:
        expected = {name: stored[name] for name in stored.files if name.startswith(f"{family}/")}
    found = golden.ours(family)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        tolerance = 1e-5 * max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("family", golden.FAMILIES)
def test_the_golden_case_says_something(family: str) -> None:
    """Scores differ, tokens are shared and repeated, and no parameter is without gradient."""
    with np.load(golden.GOLDEN_FILE) as stored:
        for head in golden.HEADS:
            assert stored[f"{family}/{head}"].std() > 0.01
        for objective in golden.OBJECTIVES:
            names = [n for n in stored.files if n.startswith(f"{family}/{objective}/gradient/")]
            assert len(names) == 41
            # a key's bias shifts all scores of a query alike: its gradient is 0 in exact numbers
            flat = [n for n in names if not np.abs(stored[n]).max() > 1e-5]
            assert all("key.bias" in n for n in flat)
