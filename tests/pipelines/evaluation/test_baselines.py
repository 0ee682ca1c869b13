"""Baselines: BM25, a sentence-transformers folder, an embedding server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import xxhash

from curation.errors import InputError, ServiceError
from pipelines.evaluation.baselines import Bm25Retriever, DenseRetriever, sentence_transformer
from pipelines.evaluation.config import EvaluationConfig, EvaluationModel
from pipelines.evaluation.endpoint import endpoint
from pipelines.evaluation.models import Loader, config_of
from tests.pipelines.evaluation.folders import set_of
from train.checkpoint import load, save
from train.config import ModelConfig

WIDTH = 16


def vector_of(text: str) -> list[float]:
    seed = xxhash.xxh3_64_intdigest(text.encode())
    return np.random.default_rng(seed).normal(size=WIDTH).tolist()


class Handler(BaseHTTPRequestHandler):
    """Answers /embeddings backwards; each third request is refused with 429."""

    server: EmbeddingServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append((body, self.headers["Authorization"]))
            refused = len(self.server.requests) % 3 == 0
        if self.server.status != 200:
            message = f"bad key {self.headers['Authorization'].removeprefix('Bearer ')}"
            self._answer(self.server.status, {"error": {"message": message}})
        elif refused:
            self._answer(429, {"error": {"message": "slow down"}}, {"retry-after-ms": "1"})
        else:
            rows = [
                {"object": "embedding", "index": i, "embedding": vector_of(text)}
                for i, text in enumerate(body["input"])
            ]
            answer = {"object": "list", "data": rows[::-1], "model": body["model"]}
            self._answer(200, answer | {"usage": {"prompt_tokens": 1, "total_tokens": 1}})

    def _answer(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class EmbeddingServer(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[dict[str, object], str]] = []
        self.status = 200
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def asking(url: str, **options: object) -> EvaluationModel:
    return EvaluationModel(kind="endpoint", url=url, model="m", batch_size=4, **options)  # type: ignore[arg-type]


def test_a_server_embeds_in_batches(
    server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors in the order of the texts, of length 1; refusals are retried; the key is sent."""
    monkeypatch.setenv("TEST_KEY", "sk-secret-123456")
    embed = endpoint(asking(server.url, key_env="TEST_KEY", query_prompt="q: "))
    done: list[int] = []
    texts = [f"text {i}" for i in range(18)]
    found = embed(texts, is_query=False, report=lambda n, _: done.append(n))
    expected = np.array([vector_of(text) for text in texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert done == [4, 8, 12, 16, 18]
    assert {key for _, key in server.requests} == {"Bearer sk-secret-123456"}
    assert all(len(body["input"]) <= 4 for body, _ in server.requests)  # type: ignore[arg-type]
    embed(["who?", ""], is_query=True)
    assert server.requests[-1][0]["input"] == ["q: who?", "q: "]


def test_a_refusal_is_told_without_the_key(
    server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Servers repeat the key in their message; we do not."""
    monkeypatch.setenv("TEST_KEY", "sk-secret-123456")
    server.status = 401
    with caplog.at_level("DEBUG"), pytest.raises(ServiceError) as caught:
        endpoint(asking(server.url, key_env="TEST_KEY"))(["x"], is_query=True)
    assert "answers 401 for model 'm': " in str(caught.value)
    assert "$TEST_KEY" in str(caught.value)
    assert "secret" not in str(caught.value) + caplog.text


def test_bm25_knows_the_documents_language() -> None:
    """Stems and stop words are the language's; where nothing is shared nothing is found."""
    documents = ["Die Häuser der Stadt wurden gebaut.", "Ein Boot fährt den Fluss hinab."]
    data = set_of(["Welches Haus baute man?", "zzz"], documents, "de")
    [(mode, (scores, numbers))] = Bm25Retriever(10).retrieve(data).items()
    assert (mode, numbers[0].tolist()) == ("bm25", [0, -1])
    assert numbers[1].tolist() == [-1, -1]
    assert scores[0][0] > 0


def test_bm25_of_the_same_documents_in_another_language() -> None:
    """The index is made anew for the analyzer of the other language."""
    bm25 = Bm25Retriever(10)
    documents, queries = ["Die Häuser der Stadt wurden gebaut."], ["Welches Haus baute man?"]
    found = [
        bm25.retrieve(set_of(queries, documents, language))["bm25"][1].tolist()
        for language in ("de", "en", "de")
    ]
    assert found == [[[0]], [[-1]], [[0]]]


def test_bm25_on_the_models_own_tokens(tiny_encoder: str) -> None:
    """The paper's variant: pieces of the tokenizer."""
    wanted = EvaluationModel(kind="bm25", analysis="tokenizer")
    loader = Loader(EvaluationConfig(), ModelConfig(encoder=tiny_encoder), 0)
    candidate = loader.listed(wanted)
    assert candidate.name == "BM25 (tokenizer)"
    data = set_of(["the lighthouse"], ["a lighthouse", "nothing here"], "en")
    [(_, numbers)] = candidate.load().retrieve(data).values()
    assert numbers[0][0] == 0


def test_sentence_transformers_gives_our_own_dense_vectors(
    tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A checkpoint of ours, evaluated by that library, ranks as its dense mode does."""
    pytest.importorskip("sentence_transformers")
    config = ModelConfig(
        encoder=tiny_encoder,
        pooling="mean",
        query_prompt="query: ",
        max_query_tokens=64,
        max_passage_tokens=64,
    )
    folder = str(tmp_path_factory.mktemp("checkpoint") / "model")
    save(load(tiny_encoder, config, 0), folder)
    data = set_of(["Who built the tower?"], [f"The tower of {n} stands." for n in "abcdefgh"], "en")
    wanted = EvaluationModel(kind="sentence-transformers", path=folder)
    embed = sentence_transformer(wanted, lambda path: path)
    theirs = DenseRetriever(embed, 8).retrieve(data)["dense"]
    loader = Loader(EvaluationConfig(precision="fp32"), ModelConfig(encoder=tiny_encoder), 0)
    ours = loader.listed(EvaluationModel(path=folder)).load().retrieve(data)["dense"]
    np.testing.assert_allclose(np.sort(theirs[0]), np.sort(ours[0]), atol=1e-5)
    assert config_of(folder, ModelConfig(encoder="x")).pooling == "mean"


def test_a_sentence_transformers_folder_says_how_it_pools(tmp_path_factory, tiny_encoder) -> None:
    """Pooling and prompts of an encoder that is no checkpoint of ours."""
    folder = tmp_path_factory.mktemp("st") / "m"
    config = ModelConfig(
        encoder=tiny_encoder, pooling="mean", query_prompt="q: ", max_passage_tokens=64
    )
    save(load(tiny_encoder, config, 0), str(folder))
    (folder / "threefold.json").unlink()
    found = config_of(str(folder), ModelConfig(max_query_tokens=9, max_passage_tokens=20))
    assert (found.pooling, found.query_prompt, found.passage_prompt) == ("mean", "q: ", "")
    assert (found.max_query_tokens, found.max_passage_tokens) == (9, 20)


def test_a_folder_that_is_no_model_is_named(tmp_path) -> None:
    pytest.importorskip("sentence_transformers")
    wanted = EvaluationModel(kind="sentence-transformers", path=str(tmp_path))
    with pytest.raises(InputError, match="does not load in sentence-transformers"):
        sentence_transformer(wanted, lambda path: path)


def test_a_bare_encoder_pools_as_the_run_says(tiny_encoder: str) -> None:
    """Its files do not tell; E5 with CLS and no prompts would look six points worse."""
    run = ModelConfig(pooling="mean", query_prompt="query: ", passage_prompt="passage: ")
    found = config_of(tiny_encoder, run)
    assert (found.pooling, found.query_prompt, found.passage_prompt) == (
        "mean",
        "query: ",
        "passage: ",
    )
    assert config_of(tiny_encoder, ModelConfig()).pooling == "cls"
