"""The held-out split: by document, so that no text is on both sides."""

import pytest

from curation.errors import ConfigError
from curation.splits import SplitConfig

IDS = [f"doc-{i}" for i in range(4000)]


def test_all_records_of_a_document_are_on_one_side() -> None:
    """A document decides alone: which pair or question asks, and with what else, is no matter."""
    split = SplitConfig(held_out=0.25)
    alone = {i for i in IDS if split.is_held_out([i])}
    assert abs(len(alone) - 1000) <= 5 * (0.1875 * 4000) ** 0.5
    for identity in alone:
        assert split.is_held_out(["", identity])
        assert split.is_held_out([identity, "", identity])


def test_pair_of_two_documents_is_held_out_with_either() -> None:
    """Neither side of a held-out document may be trained on."""
    split = SplitConfig(held_out=0.5)
    held = next(i for i in IDS if split.is_held_out([i]))
    free = next(i for i in IDS if not split.is_held_out([i]))
    assert split.is_held_out([free, held])
    assert split.is_held_out(iter([held, free]))
    assert not split.is_held_out([free, free])


@pytest.mark.parametrize("ids", [[], [""], ["", ""]], ids=["none", "empty", "two-empty"])
def test_records_without_a_document_are_never_held_out(ids: list[str]) -> None:
    """Parallel text has no document; even a share of 1 leaves it for training."""
    assert SplitConfig(held_out=1.0).is_held_out(ids) is False


def test_share_of_none_and_all() -> None:
    """0 holds out nothing, 1 every document."""
    assert not any(SplitConfig(held_out=0.0).is_held_out([i]) for i in IDS)
    assert all(SplitConfig(held_out=1.0).is_held_out([i]) for i in IDS)


def test_other_seed_holds_out_other_documents() -> None:
    """Two seeds agree on a document as often as chance has it."""
    first, second = SplitConfig(held_out=0.5), SplitConfig(held_out=0.5, seed=1)
    both = sum(first.is_held_out([i]) and second.is_held_out([i]) for i in IDS)
    assert abs(both - 1000) <= 5 * (0.1875 * 4000) ** 0.5


@pytest.mark.parametrize("share", [-0.1, 1.01])
def test_impossible_share_is_refused(share: float) -> None:
    """A share outside 0..1 is reported with its option."""
    with pytest.raises(ConfigError, match=rf"^splits\.held_out = {share} is outside 0 \.\. 1$"):
        SplitConfig(held_out=share)
