"""The index's modes against scores computed pair by pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.errors import ConfigError, InputError
from mining.encode import encode_batches
from mining.hybrid import Depths, HybridIndex
from mining.hybrid_parts import Encoding, Passage
from pipelines import search_index
from tests.searching import corpus, write_corpus
from train import scoring
from train.checkpoint import load
from train.config import ModelConfig
from train.model import M3Model
from train.scoring import Embeddings

QUERIES = ["Who built the lighthouse of Arhaven?", "Le gardien de Belwick", "المنارة"]


def config(encoder: str, **settings: object) -> ModelConfig:
    return ModelConfig(encoder=encoder, max_query_tokens=32, max_passage_tokens=48, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(tiny_encoder: str) -> M3Model:
    return load(tiny_encoder, config(tiny_encoder), 0)


def plan(folder: Path, corpus_file: Path, encoder: str, **changes: object) -> search_index.Plan:
    settings: dict[str, object] = {
        "files": [str(corpus_file)],
        "folder": str(folder),
        "name": encoder,
        "encoding": Encoding(batch_tokens=256, store="fp32"),
        "part": 7,
    }
    return search_index.Plan(**(settings | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def built(
    model: M3Model, tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[HybridIndex, Path]:
    folder = tmp_path_factory.mktemp("index")
    file = write_corpus(folder / "corpus.jsonl", corpus())
    return search_index.build(plan(folder / "index", file, tiny_encoder), model), file


def encode(model: M3Model, texts: list[str], *, is_query: bool) -> list[Embeddings]:
    found: dict[int, Embeddings] = {}
    for numbers, batch in encode_batches(model, texts, is_query=is_query, budget=128, dtype="fp32"):
        for row, number in enumerate(numbers.tolist()):
            found[number] = batch.select(slice(row, row + 1))
    return [found[i] for i in range(len(texts))]


def exact(query: Embeddings, passages: list[Embeddings]) -> dict[str, np.ndarray]:
    named = {
        "dense": scoring.dense_scores,
        "sparse": scoring.sparse_scores,
        "multi-vector": scoring.multi_vector_scores,
    }
    return {
        name: np.array([float(score(query, passage)) for passage in passages])
        for name, score in named.items()
    }


def test_modes_rank_by_the_formulas(built: tuple[HybridIndex, Path], model: M3Model) -> None:
    """With depths beyond the corpus every mode orders all passages by its exact score."""
    index, _ = built
    passages = [index.passage(i) for i in range(len(index))]
    documents = encode(model, [p.encoded for p in passages], is_query=False)
    weights = (1.0, 0.3, 1.0)
    for query in encode(model, QUERIES, is_query=True):
        heads = exact(query, documents)
        sums = {
            **heads,
            "dense+sparse": heads["dense"] + 0.3 * heads["sparse"],
            "all": sum(w * s for w, s in zip(weights, heads.values(), strict=True)),
        }
        for mode, scores in sums.items():
            found = index.search(query, mode, len(index), Depths(weights=weights))
            count = int((scores > 0).sum()) if mode == "sparse" else len(index)
            assert len(found.numbers) == len(set(found.numbers.tolist())) == count
            np.testing.assert_allclose(found.scores, np.sort(scores)[::-1][:count], atol=3e-3)
            np.testing.assert_allclose(found.scores, scores[found.numbers], atol=3e-3)
            for head, values in found.heads.items():
                np.testing.assert_allclose(values, heads[head][found.numbers], atol=3e-3)


def test_depths_bound_the_candidates(built: tuple[HybridIndex, Path], model: M3Model) -> None:
    """all and multi-vector re-rank dense's best, dense+sparse the union of both heads' best."""
    index, _ = built
    [query] = encode(model, [QUERIES[0]], is_query=True)
    depths = Depths(rerank=5, union=4)
    dense = index.search(query, "dense", 5).numbers.tolist()
    sparse = index.search(query, "sparse", 4).numbers.tolist()
    for mode in ("multi-vector", "all"):
        assert set(index.search(query, mode, 3, depths).numbers.tolist()) <= set(dense)
        assert set(index.search(query, mode, 5, depths).numbers.tolist()) == set(dense)
    union = index.search(query, "dense+sparse", 4, depths)
    assert set(union.numbers.tolist()) <= set(dense[:4]) | set(sparse)
    assert len(union.numbers) == 4


def test_a_language_is_searched_alone(built: tuple[HybridIndex, Path], model: M3Model) -> None:
    """What is found is the unfiltered ranking without the other languages."""
    index, _ = built
    [query] = encode(model, [QUERIES[1]], is_query=True)
    allowed = index.allowed("fr")
    for mode in index.modes:
        whole = index.search(query, mode, len(index)).numbers.tolist()
        found = index.search(query, mode, len(index), allowed=allowed).numbers.tolist()
        assert found == [n for n in whole if index.passage(n).language == "fr"]
    assert index.allowed("") is None
    with pytest.raises(ConfigError, match=r"unknown language 'frr'.*did you mean 'fr'"):
        index.allowed("frr")


def test_an_equal_run_does_nothing_and_a_grown_corpus_only_its_end(
    built: tuple[HybridIndex, Path],
    model: M3Model,
    tiny_encoder: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Parts are kept where their passages are the same; one that is no more goes."""
    file = write_corpus(tmp_path / "corpus.jsonl", corpus())
    folder = tmp_path / "index"
    search_index.build(plan(folder, file, tiny_encoder), model)

    def times() -> dict[str, int]:
        return {p.parent.name: p.stat().st_mtime_ns for p in folder.glob("parts/*/dense.npy")}

    before = times()
    search_index.build(plan(folder, file, tiny_encoder), model)
    assert "is up to date" in capsys.readouterr().out
    assert times() == before
    write_corpus(file, [*corpus(), {"_id": "new", "text": "A new mill.", "language": "en"}])
    index = search_index.build(plan(folder, file, tiny_encoder), model)
    after = times()
    changed = {name for name, time in after.items() if before.get(name) != time}
    assert changed == {"part-00003"}
    assert len(index) == len(corpus()) + 1
    [query] = encode(model, ["A new mill."], is_query=True)
    assert index.passage(int(index.search(query, "dense", 1).numbers[0])).id == "new"
    write_corpus(file, corpus()[:7])
    assert len(search_index.build(plan(folder, file, tiny_encoder), model)) == 7
    assert set(times()) == {"part-00000"}


def test_a_killed_run_goes_on(
    model: M3Model, tiny_encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written stays; until the end the folder is no index; the result is the same."""
    file = write_corpus(tmp_path / "corpus.jsonl", corpus())
    whole = search_index.build(plan(tmp_path / "whole", file, tiny_encoder), model)
    written: list[str] = []
    write = search_index.write_part

    def failing(folder: str, *rest: object, **named: object) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(folder)
        write(folder, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(search_index, "write_part", failing)
    with pytest.raises(KeyboardInterrupt):
        search_index.build(plan(tmp_path / "index", file, tiny_encoder), model)
    with pytest.raises(InputError, match="no index, or one that is not finished"):
        HybridIndex(str(tmp_path / "index"))
    monkeypatch.setattr(search_index, "write_part", write)
    index = search_index.build(plan(tmp_path / "index", file, tiny_encoder), model)
    [query] = encode(model, [QUERIES[0]], is_query=True)
    for mode in whole.modes:
        one, other = (i.search(query, mode, 9) for i in (whole, index))
        assert np.array_equal(one.numbers, other.numbers)
        assert np.array_equal(one.scores, other.scores)
    for path in sorted((tmp_path / "whole").rglob("*.npy")):
        same = tmp_path / "index" / path.relative_to(tmp_path / "whole")
        assert path.read_bytes() == same.read_bytes(), path.name


def test_without_token_vectors(model: M3Model, tiny_encoder: str, tmp_path: Path) -> None:
    """The modes that need them are refused with what to do; half precision is half the size."""
    file = write_corpus(tmp_path / "corpus.jsonl.gz", corpus())
    encoding = Encoding(batch_tokens=256, vectors=False)
    index = search_index.build(plan(tmp_path / "i", file, tiny_encoder, encoding=encoding), model)
    assert index.modes == ["dense", "sparse", "dense+sparse"]
    assert list((tmp_path / "i/parts").rglob("vectors*")) == []
    assert np.load(tmp_path / "i/parts/part-00000/dense.npy").dtype == np.float16
    [query] = encode(model, [QUERIES[0]], is_query=True)
    with pytest.raises(ConfigError, match=r"mode 'all' needs token vectors.*--no-vectors"):
        index.search(query, "all", 3)
    with pytest.raises(ConfigError, match="unknown mode 'both'"):
        index.search(query, "both", 3)
    assert set(index.search(query, "dense+sparse", 3).heads) == {"dense", "sparse"}


def test_another_model_is_refused(
    built: tuple[HybridIndex, Path], tiny_encoder: str, tmp_path: Path
) -> None:
    """Vectors of one model mean nothing to another."""
    from train.checkpoint import save

    index, _ = built
    assert search_index.model_of(index).config.max_passage_tokens == 48
    other = load(tiny_encoder, config(tiny_encoder), seed=1)
    save(other, str(tmp_path / "other"))
    with pytest.raises(InputError, match=r"the weights of .*other are not those"):
        search_index.model_of(index, str(tmp_path / "other"))


def test_long_documents_take_mcls(tiny_encoder: str, tmp_path: Path) -> None:
    """Their dense vector is the mean of several CLS; the room for these is made by itself."""
    settings = search_index.model_settings(tiny_encoder, {"mcls_tokens": 64})
    assert settings.mcls_tokens == 64
    assert settings.max_passage_tokens < 512
    model = search_index.load_model(settings)
    text = " ".join(row["text"] for row in corpus())
    file = write_corpus(tmp_path / "corpus.jsonl", [{"_id": "long", "text": text}])
    index = search_index.build(plan(tmp_path / "index", file, tiny_encoder), model)
    [whole] = encode(model, [text], is_query=False)
    np.testing.assert_allclose(index.vectors[0], whole.dense[0].numpy(), atol=1e-6)
    plain = load(tiny_encoder, search_index.model_settings(tiny_encoder, {}), 0)
    [one] = encode(plain, [text], is_query=False)
    assert float((one.dense * whole.dense).sum()) < 0.999
    assert search_index.model_of(index).config.mcls_tokens == 64


def test_foreign_folders_and_empty_corpora_are_refused(
    model: M3Model, tiny_encoder: str, tmp_path: Path
) -> None:
    """Nothing of another program's is deleted; an index of nothing is a mistake."""
    file = write_corpus(tmp_path / "corpus.jsonl", corpus())
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match=r"holds files that are no index, as 'letter\.txt'"):
        search_index.build(plan(tmp_path / "home", file, tiny_encoder), model)
    empty = write_corpus(tmp_path / "empty.jsonl", [])
    with pytest.raises(InputError, match=r"the corpus .*empty\.jsonl holds no passage"):
        search_index.build(plan(tmp_path / "index", empty, tiny_encoder), model)
    with pytest.raises(InputError, match=r"holds no index\.json"):
        HybridIndex(str(tmp_path))


def test_passages_read_title_then_text() -> None:
    """As the paper's were encoded; without a title it is the text alone."""
    assert Passage("1", "text", "Title").encoded == "Title\ntext"
    assert Passage("1", "text", "Title").body_at == 6
    assert (Passage("1", "text").encoded, Passage("1", "text").body_at) == ("text", 0)
