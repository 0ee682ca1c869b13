"""Of questions that say the same one is kept, the first, whatever order they come in."""

from __future__ import annotations

import random

import numpy as np
import pytest

from curation.errors import ConfigError
from curation.minhash import jaccard
from curation.synthesis import duplicates
from curation.synthesis.duplicates import QuestionDuplicateConfig

CONFIG = QuestionDuplicateConfig()
WORDS = ["river", "rises", "north", "hills", "flows", "market", "towns", "sea", "mill", "corn"]
SAME = [
    (
        "When was the old lighthouse of Armouth on the northern coast built by the company?",
        "And when was the old lighthouse of Armouth on the northern coast built by the company",
    ),
    ("Когда был построен старый маяк на северном берегу острова и кем именно он был построен?",
     "А когда был построен старый маяк на северном берегу острова и кем именно он был построен?"),
    ("港の古い灯台はいつ誰によって何のために建てられましたか。",
     "その港の古い灯台はいつ誰によって何のために建てられましたか。"),
    ("ประภาคารเก่าของเมืองท่าแห่งนี้ถูกสร้างขึ้นเมื่อใดและโดยบริษัทอะไร",
     "ประภาคารเก่าของเมืองท่าแห่งนี้ถูกสร้างขึ้นเมื่อใดและโดยบริษัทอะไรกัน"),
    ("متى بُنيت المنارة القديمة على الساحل الشمالي للجزيرة ومن الذي بناها ولماذا؟",
     "ومتى متى بُنيت المنارة القديمة على الساحل الشمالي للجزيرة ومن الذي بناها ولماذا؟"),
]  # fmt: skip
OTHER = [
    ("Who built the lighthouse of Armouth?", "Who built the lighthouse of Arhaven?"),
    ("大阪城を建てたのは誰ですか。", "名古屋城を建てたのは誰ですか。"),
    ("short", "sharp"),
]


def kept_for(questions: list[str], places: list[int], config: QuestionDuplicateConfig) -> list[int]:
    found = duplicates.fingerprints(questions, config)
    return duplicates.winners(found, np.array(places, np.int64), config).tolist()


@pytest.mark.parametrize(("one", "two"), SAME, ids=["en", "ru", "ja", "th", "ar"])
def test_nearly_equal_questions_are_found(one: str, two: str) -> None:
    """A word more does not make another question, in any script."""
    assert kept_for([one, two], [0, 1], CONFIG) == [0, 0]
    assert kept_for([one, two], [1, 0], CONFIG) == [1, 1]
    off = QuestionDuplicateConfig(enabled=False)
    assert kept_for([one, two, one.upper()], [0, 1, 2], off) == [0, 1, 0]


@pytest.mark.parametrize(("one", "two"), OTHER, ids=["name", "name-ja", "too-short"])
def test_questions_on_other_things_stay(one: str, two: str) -> None:
    """Another name in a short question is another question."""
    assert kept_for([one, two], [0, 1], CONFIG) == [0, 1]


def families(seed: int) -> list[str]:
    """Return 40 questions of 20 words with up to four variants each, which add a word in front."""
    draw = random.Random(seed)
    made = []
    for number in range(40):
        words = [f"{draw.choice(WORDS)}{number}{draw.randrange(50)}" for _ in range(20)]
        made += [" ".join([*["and"] * extra, *words]) for extra in range(draw.randint(1, 5))]
    return made


@pytest.mark.parametrize("seed", range(5))
def test_the_first_of_each_family_is_kept_in_any_order(seed: int) -> None:
    """What is dropped is similar to what is kept for it, which comes first; order is no matter."""
    config, draw = QuestionDuplicateConfig(threshold=0.8), random.Random(seed)
    questions = families(seed)
    places = draw.sample(range(len(questions)), len(questions))
    winners = kept_for(questions, places, config)
    assert len(set(winners)) == 40
    found = duplicates.fingerprints(questions, config)
    similar = jaccard(found.sets, np.arange(len(winners)), np.array(winners))
    assert similar.min() >= 0.8
    assert all(winners[w] == w and places[w] <= places[i] for i, w in enumerate(winners))
    order = draw.sample(range(len(questions)), len(questions))
    again = kept_for([questions[i] for i in order], [places[i] for i in order], config)
    assert [order[w] for w in again] == [winners[i] for i in order]


def test_fingerprints_of_pieces_are_those_of_the_whole() -> None:
    """Cutting the set changes nothing; a piece may be empty."""
    questions = families(0)
    whole = duplicates.fingerprints(questions, CONFIG)
    cuts = [questions[:7], [], questions[7:]]
    pieces = duplicates.concatenate([duplicates.fingerprints(cut, CONFIG) for cut in cuts])
    assert np.array_equal(pieces.exact, whole.exact)
    assert np.array_equal(pieces.bands, whole.bands)
    assert np.array_equal(pieces.sets.hashes, whole.sets.hashes)
    assert np.array_equal(pieces.sets.offsets, whole.sets.offsets)


def test_many_questions_of_one_mould_take_bounded_work() -> None:
    """20,000 questions that share every band but the name's are compared with a few each."""
    questions = [f"who is said to have first climbed the tower of town{i}" for i in range(20_000)]
    found = duplicates.fingerprints(questions, CONFIG)
    low, _ = duplicates._candidates(found.bands)
    assert len(low) <= 14 * 16 * len(questions)
    assert kept_for(questions, list(range(20_000)), CONFIG) == list(range(20_000))


def test_ranges_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"synthesis\.near_duplicates\.threshold = 0\.4"):
        QuestionDuplicateConfig(threshold=0.4)
