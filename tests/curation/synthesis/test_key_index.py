"""The index of known keys equals a dict, in a tenth of its memory."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis import key_index
from curation.synthesis.key_index import KeyIndex, digest

# equal halves meet the case of keys that share the part that is searched for
keys = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
    lambda pair: pair[0].to_bytes(8, "big") + pair[1].to_bytes(8, "big")
)


@given(pairs=st.lists(st.tuples(keys, st.integers(0, 2**62)), max_size=60))
def test_it_equals_a_dict(pairs: list[tuple[bytes, int]]) -> None:
    """The last number of a key counts, however often what is recent was merged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_index, "_RECENT", 5)
        index, wanted = KeyIndex(), {}
        for key, number in pairs:
            index.add(key, number)
            wanted[key] = number
            assert index.get(key) == number
    assert {key: index.get(key) for key in wanted} == wanted
    assert len(index) == len(wanted)
    assert index.get(b"\xff" * 16) == -1


def test_digests_tell_keys_apart() -> None:
    """Any text is a key, a lone surrogate too."""
    names = ["", "a", "b", "ab", "é", "\ud83d", "0" * 32]
    assert len({digest(name) for name in names}) == len(names)
    assert {len(digest(name)) for name in names} == {16}


def test_a_key_takes_24_bytes() -> None:
    """200,000 keys stay below 10 MB with what is not merged yet."""
    keys = [digest(str(i)) for i in range(200_000)]
    tracemalloc.start()
    index = KeyIndex()
    for i, key in enumerate(keys):
        index.add(key, i)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 10e6
    assert [index.get(keys[i]) for i in (0, 77_777, 199_999)] == [0, 77_777, 199_999]
