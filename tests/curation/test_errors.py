"""Errors: one family, and messages that name the value and the way out."""

import math

import pytest

from curation.errors import (
    ConfigError,
    InputError,
    ServiceError,
    ThreefoldError,
    TrainingError,
    check_range,
    unknown_name,
)


@pytest.mark.parametrize("kind", [ConfigError, InputError, ServiceError, TrainingError])
def test_every_error_is_caught_as_threefold_error(kind: type[ThreefoldError]) -> None:
    """The command line catches the base class and prints the message alone."""
    with pytest.raises(ThreefoldError, match=r"^what went wrong$"):
        raise kind("what went wrong")


def test_unknown_name_suggests_the_nearest_and_lists_all_sorted() -> None:
    """A typing slip gets the right name back; the list is sorted whatever its order was."""
    message = unknown_name("run.mode", "traim", ("train", "mine", "curate"))
    assert message == "unknown run.mode 'traim': did you mean 'train'? valid: curate, mine, train"


def test_unknown_name_without_a_near_one_suggests_nothing() -> None:
    """A name that resembles none gets the list and no misleading hint."""
    assert unknown_name("kind", "xyz", {"po", "c4"}) == "unknown kind 'xyz': valid: c4, po"


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0, 1])
def test_check_range_accepts_the_closed_interval(value: float) -> None:
    """Both ends belong to the range."""
    assert check_range("share", value, 0.0, 1.0) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(-0.01, "-0.01"), (1.5, "1.5"), (math.inf, "inf"), (math.nan, "nan")],
    ids=["below", "above", "infinite", "nan"],
)
def test_check_range_names_option_value_and_bounds(value: float, shown: str) -> None:
    """What is outside, NaN included, is refused with all that is needed to mend it."""
    with pytest.raises(ConfigError) as caught:
        check_range("splits.held_out", value, 0, 1)
    assert str(caught.value) == f"splits.held_out = {shown} is outside 0 .. 1"
