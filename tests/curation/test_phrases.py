"""Phrases in tokenised text, and the word lists of a user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.errors import ConfigError
from curation.phrases import PhraseSet, boilerplate, load_word_lists, stop_words, word_list_files
from curation.quality import score_texts
from curation.words import split_words

LISTS = PhraseSet.of({"en": ["bad", "very bad thing", ""], "ja": ["馬鹿"], "th": ["บ้า"], "": ["!"]})


@pytest.mark.parametrize(
    ("text", "language", "share"),
    [
        ("a BAD day", "en", 1 / 3),
        ("a badly day", "en", 0.0),
        ("a very bad thing here", "en", 3 / 5),
        ("very. Bad, thing", "en", 1.0),
        ("a bad day", "de", 0.0),
        ("大馬鹿者", "ja", 2 / 4),
        ("大馬鹿者", "zh", 0.0),
        ("คนบ้ามาก", "th", 2 / 7),
    ],
    ids=["word", "inside", "phrase", "marks", "language", "japanese", "chinese", "thai"],
)
def test_listed_words_are_found(text: str, language: str, share: float) -> None:
    """As whole words of their language; where no spaces are written, without borders."""
    found = score_texts([text], [language], LISTS)["flagged_word_share"]
    assert found.tolist() == pytest.approx([share])


def test_no_phrase_crosses_two_texts() -> None:
    """The end of one text and the beginning of the next make none."""
    words = split_words(["so very", "bad thing"])
    found = PhraseSet.of({"": ["very bad thing"]}).find(words)
    assert [len(rows) for rows, _ in found] == [0]


def test_a_set_without_phrases_finds_nothing() -> None:
    """An empty list is a list."""
    empty = PhraseSet.of({"en": []})
    assert score_texts(["words"], ["en"], empty)["flagged_word_share"].tolist() == [0.0]


def test_shipped_lists() -> None:
    """Stop words of well over a hundred languages, and no phrase of a single common word."""
    sizes = {size: len(table.hashes) for size, table in stop_words().tables.items()}
    assert sizes[1] > 4000
    words = split_words(["the and of to in that"])
    for found in boilerplate().values():
        assert sum(len(rows) for rows, _ in found.find(words)) == 0
        assert all(len(np.unique(table.hashes)) for table in found.tables.values())


def test_lists_from_a_folder_and_a_file(tmp_path: Path) -> None:
    """A folder of LANGUAGE.txt and a TOML file say the same."""
    (tmp_path / "en.txt").write_text("bad\nvery bad thing\n")
    (tmp_path / "ja.txt").write_text("馬鹿", encoding="utf-8")
    (tmp_path / "read.me").write_text("day")
    file = tmp_path / "words.toml"
    file.write_text('en = ["bad", "very bad thing"]\nja = ["馬鹿"]\n', encoding="utf-8")
    texts, languages = ["a bad day", "大馬鹿者"], ["en", "ja"]
    for path in (str(tmp_path), str(file)):
        lists = load_word_lists(path)
        shares = score_texts(texts, languages, lists)["flagged_word_share"]
        assert shares.tolist() == pytest.approx([1 / 3, 1 / 2])
    names = [path.rsplit("/", 1)[-1] for path in word_list_files(str(tmp_path))]
    assert names == ["en.txt", "ja.txt"]
    assert word_list_files(str(file)) == [str(file)]


def test_no_lists_are_no_lists() -> None:
    """Without the option nothing is read."""
    assert load_word_lists("") is None
    assert word_list_files("") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("en: bad", "is not TOML"),
        ('en = "bad"', "en in .* is no list of words"),
        ("en = [1]", "no list"),
    ],
    ids=["no-toml", "no-list", "numbers"],
)
def test_mistakes_in_a_list_are_told(tmp_path: Path, text: str, message: str) -> None:
    """The file and the language are named."""
    path = tmp_path / "words.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_word_lists(str(path))


def test_an_empty_folder_is_a_mistake(tmp_path: Path) -> None:
    """A list that lists nothing is not what was meant."""
    with pytest.raises(ConfigError, match=r"holds no LANGUAGE\.txt"):
        load_word_lists(str(tmp_path))
