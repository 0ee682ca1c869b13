"""Token lengths are the tokenizer's own; buckets and keys agree with each other."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from curation import runs, tokens
from curation.errors import InputError
from curation.tokens import BUCKET_EDGES, TokenCounter
from tests.builders import PARAGRAPH, TOPICS

SPACES = " \n\t\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2003\u2028\u3000\u200b\ufeff"
texts = st.text(max_size=60) | st.text(SPACES + "aéñ日本ก\u0301\u200dশে가ﬁ¨.,?lighthouse")


@pytest.fixture(scope="module")
def counter(tiny_encoder: str) -> TokenCounter:
    """A counter with a tokenizer that splits at white space."""
    return TokenCounter(tiny_encoder)


@pytest.fixture(scope="module")
def own(tiny_encoder: str) -> Tokenizer:
    """The tokenizer itself."""
    return Tokenizer.from_file(f"{tiny_encoder}/tokenizer.json")


@given(batch=st.lists(texts, max_size=4))
@settings(deadline=None, max_examples=100)
def test_lengths_equal_the_tokenizers_own(
    counter: TokenCounter, own: Tokenizer, batch: list[str]
) -> None:
    """Any text, of any script, with any white space, counts as the encoder will see it."""
    assert counter.lengths(batch) == [len(own.encode(text).ids) for text in batch]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n",
        "a  b",
        "a\x1cb",
        "a\x85b",
        "ひらがな\u3000と漢字",
        " \u0301x",
        "<mask> x",
        "</s>",
    ],
)
def test_lengths_of_awkward_texts(counter: TokenCounter, own: Tokenizer, text: str) -> None:
    """Empty texts, control characters and the tokenizer's own marks are no exception."""
    assert counter.lengths([text]) == [len(own.encode(text).ids)]


def test_words_are_counted_once_and_add_up(counter: TokenCounter, own: Tokenizer) -> None:
    """A long text is the sum of its words, in a second call as in the first."""
    text = PARAGRAPH * 40 + " ".join(TOPICS.values())
    wanted = [len(own.encode(text).ids)]
    assert counter._additive
    assert counter.lengths([text]) == counter.lengths([text]) == wanted
    assert counter.lengths_whole([text]) == wanted


def test_cache_stays_small(
    tiny_encoder: str, own: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full cache starts anew, sentences without spaces never enter it, counts stay right."""
    counter = TokenCounter(tiny_encoder)
    monkeypatch.setattr(tokens, "_CACHE_ENTRIES", 10)
    words = [f"w{i}" for i in range(50)]
    wanted = len(own.encode(" ".join(words)).ids)
    assert counter.lengths([" ".join(words)]) == [wanted]
    assert len(counter._words) <= 10
    long = "語" * 65
    assert counter.lengths([long]) == [len(own.encode(long).ids)]
    assert long not in counter._words


def test_tokenizer_across_words_sees_whole_texts(tmp_path: Path) -> None:
    """A tokenizer with pieces that span spaces is not counted by words."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\n", "isolated")  # type: ignore[arg-type]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator([PARAGRAPH] * 3, trainer)
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    counter = TokenCounter(str(tmp_path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    batch = [PARAGRAPH, "The river"]
    assert not counter._additive
    assert counter.lengths(batch) == [len(tokenizer.encode(text).ids) for text in batch]
    assert counter.lengths(batch)[1] < counter.lengths_by_words(["The river"])[0]


@pytest.mark.parametrize("content", [None, "not json", "{}"], ids=["missing", "text", "empty"])
def test_no_tokenizer_says_what_to_set(tmp_path: Path, content: str | None) -> None:
    """A folder without a usable tokenizer is reported with path and option."""
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as caught:
        TokenCounter(str(tmp_path))
    assert str(caught.value).startswith(f"{path} is no tokenizer (")
    assert "`model.encoder` must be a Hugging Face folder" in str(caught.value)


@pytest.mark.parametrize(
    ("length", "name"),
    [
        (0, "0-500"),
        (500, "0-500"),
        (501, "500-1000"),
        (1000, "500-1000"),
        (7000, "6000-7000"),
        (7001, "7000-8192"),
        (8192, "7000-8192"),
        (100_000, "7000-8192"),
    ],
)
def test_bucket_names(length: int, name: str) -> None:
    """The upper edge belongs to its bucket; what is too long falls in the last."""
    assert tokens.bucket_name(tokens.bucket_of(length)) == name


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 8192), st.binary(min_size=16, max_size=16)),
        min_size=1,
        max_size=40,
    )
)
@settings(deadline=None, max_examples=100)
def test_length_keys_sort_by_bucket_then_length(rows: list[tuple[int, bytes]]) -> None:
    """The order of keys is that of (bucket, length), then of the digest's first 49 bits."""
    lengths = np.array([length for length, _ in rows], np.int64)
    keys = tokens.length_keys(lengths, [digest for _, digest in rows])
    assert keys.dtype == np.uint64
    assert (keys >> np.uint64(60)).tolist() == [tokens.bucket_of(n) for n, _ in rows]
    order = sorted(
        rows, key=lambda r: (tokens.bucket_of(r[0]), r[0], int.from_bytes(r[1][:8]) >> 15)
    )
    assert [rows[i][0] for i in np.argsort(keys)] == [length for length, _ in order]
    assert sorted(keys.tolist()) == [
        int(tokens.length_keys(np.array([n]), [d])[0]) for n, d in order
    ]


def test_lengths_beyond_the_last_bucket_stay_in_it() -> None:
    """A length of any size keeps the key inside the last bucket."""
    keys = tokens.length_keys(np.array([8192, 9047, 9048, 10**6]), [bytes(16)] * 4)
    assert (keys >> np.uint64(60)).tolist() == [8] * 4
    offsets = ((keys >> np.uint64(49)) & np.uint64(2047)).tolist()
    assert offsets == [1192, 2047, 2047, 2047]


def test_equal_rows_have_equal_keys() -> None:
    """Equal length and digest meet; another digest of the same length does not."""
    digests = [b"a" * 16, b"b" * 16, b"a" * 16]
    first, second, third = tokens.length_keys(np.array([7, 7, 7]), digests).tolist()
    assert first == third != second


def test_part_names_follow_the_buckets() -> None:
    """Cut at the bucket boundaries, no part holds two buckets, and each counts from 0."""
    lengths = np.array([10, 400, 600, 8000, 8100], np.int64)
    digests = [bytes([i * 50] * 16) for i in range(5)]
    keys = tokens.length_keys(lengths, digests)
    histogram = runs.histogram_of(keys, np.full(5, 100, np.int64))
    plan = runs.plan_ranges(histogram, 100, tokens.bucket_boundaries())
    part_names = tokens.length_part_names(plan)
    where = {
        int(length): name
        for length, key in zip(lengths, keys.tolist(), strict=True)
        for name, part in zip(part_names, plan, strict=True)
        if part.low <= key <= part.high
    }
    assert where == {
        10: "length=0-500/part-00000.parquet",
        400: "length=0-500/part-00001.parquet",
        600: "length=500-1000/part-00000.parquet",
        8000: "length=7000-8192/part-00000.parquet",
        8100: "length=7000-8192/part-00001.parquet",
    }
    assert len(set(part_names)) == len(plan)
    assert len(tokens.bucket_boundaries()) == len(BUCKET_EDGES) - 1
