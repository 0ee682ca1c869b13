"""Index, search and serve as a person meets them: files, the command line, a real local server."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curation.errors import InputError
from mining.explain import Span
from mining.hybrid import HybridIndex
from mining.hybrid_parts import Passage
from pipelines.search_corpus import corpus_files, read_passages
from pipelines.search_index import model_of
from pipelines.search_page import marked
from pipelines.search_server import SearchServer
from pipelines.searching import Searcher
from tests.command_line import run
from tests.searching import ARABIC, HOSTILE, corpus, write_corpus


@pytest.fixture(scope="module")
def index(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("search")
    file = write_corpus(folder / "corpus.jsonl.gz", corpus())
    settings = ("--set", "max_passage_tokens=48", "--set", "model.query_prompt=sea ")
    arguments = ("--model", tiny_encoder, "--to", folder / "index", "--dtype", "fp32", *settings)
    result = run("index", "--corpus", file, *arguments)
    assert result.code == 0, result.err
    assert "26 passages (en 13, fr 12, ar 1) in" in result.out
    return str(folder / "index")


def test_a_query_is_answered_with_scores_and_terms(index: str) -> None:
    """Each result has its heads' scores, its matches in brackets and the shared tokens."""
    result = run("search", index, "the lighthouse of Arhaven", "--top", 2, "--mode", "sparse")
    assert result.code == 0, result.err
    assert "(sparse: 2 in" in result.out
    assert re.search(r"1\. \d\.\d{4}  \S+ \[en\]  \(dense .* sparse .* multi-vector ", result.out)
    assert re.search(r"\[\S*lighthouse\S*\]", result.out)
    assert "shared: " in result.out


def test_json_says_all(index: str) -> None:
    """The weighted sum of the scores is the score; the terms add up to the sparse one."""
    result = run("search", index, "the keeper of Belwick", "--json", "--top", 3)
    answer = json.loads(result.out)
    assert (answer["mode"], answer["language"]) == ("all", None)
    assert [found["rank"] for found in answer["results"]] == [1, 2, 3]
    for found in answer["results"]:
        scores = found["scores"]
        total = scores["dense"] + 0.3 * scores["sparse"] + scores["multi-vector"]
        assert found["score"] == pytest.approx(total, abs=1e-4)
        assert sum(t["score"] for t in found["terms"]) == pytest.approx(scores["sparse"], abs=1e-2)
        for start, end in found["matches"]:
            assert 0 <= start < end <= len(found["snippet"])


def test_queries_come_from_a_file(index: str, tmp_path: Path) -> None:
    """Lines of text or JSON, the latter with a language of their own; one answer each, in order."""
    lines = ["le phare", '{"text": "the sea", "language": "en"}', "", '{"query": "البحر"}']
    (tmp_path / "q.txt").write_text("\n".join(lines))
    result = run("search", index, "--queries", tmp_path / "q.txt", "--json", "--language", "fr")
    answers = [json.loads(line) for line in result.out.splitlines()]
    assert [answer["query"] for answer in answers] == ["le phare", "the sea", "البحر"]
    assert [answer["language"] for answer in answers] == ["fr", "en", "fr"]
    for answer in answers:
        assert {found["language"] for found in answer["results"]} == {answer["language"]}
    alone = json.loads(run("search", index, "le phare", "--json", "--language", "fr").out)
    assert [f["id"] for f in alone["results"]] == [f["id"] for f in answers[0]["results"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "search takes a query, or --queries FILE", id="nothing asked"),
        pytest.param(["q", "--queries", "f"], "a query, or --queries FILE", id="both"),
        pytest.param(["  "], "the query is empty", id="blank"),
        pytest.param(["q", "--top", "0"], "top = 0", id="top"),
        pytest.param(["q", "--language", "xx"], "unknown language 'xx'", id="language"),
        pytest.param(["q", "--rerank-depth", "0"], "rerank depth = 0", id="depth"),
        pytest.param(["q", "--model", "/nowhere"], "is no folder", id="model"),
    ],
)
def test_what_cannot_be_asked_is_an_error(index: str, arguments: list[str], message: str) -> None:
    """Exit status 2 and a message that names the option."""
    result = run("search", index, *arguments)
    assert result.code == 2
    assert message in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--set", "pooling=max"], "unknown model.pooling 'max'", id="value"),
        pytest.param(["--set", "poling=mean"], "did you mean 'pooling'", id="key"),
        pytest.param(["--set", "encoder=x"], "KEY=VALUE of [model] but not encoder", id="encoder"),
        pytest.param(["--set", "max_query_tokens=x"], "max_query_tokens = 'x'", id="type"),
        pytest.param(["--dense-index", "Tree9"], "'Tree9' does not work", id="factory"),
    ],
)
def test_what_cannot_be_indexed_is_an_error(
    tiny_encoder: str, tmp_path: Path, arguments: list[str], message: str
) -> None:
    """Before texts are encoded where that is possible."""
    file = write_corpus(tmp_path / "c.jsonl", corpus(2))
    common = ("--model", tiny_encoder, "--to", tmp_path / "i", "--dtype", "fp32")
    result = run("index", "--corpus", file, *common, *arguments)
    assert result.code == 2
    assert message in result.err


def test_corpora_of_all_formats_are_read(tmp_path: Path) -> None:
    """JSON lines plain and packed, Parquet, a BEIR folder and a folder of parts."""
    rows: list[dict[str, Any]] = [
        {"_id": "1", "title": "T", "text": "one", "language": "deu_Latn", "url": "u"},
        {"id": 2, "title": None, "contents": "two"},
        {"passage": "three \ud800"},
    ]
    plain = write_corpus(tmp_path / "corpus.jsonl", [{**r, "x": 1} for r in rows[:2]])
    with plain.open("a") as handle:
        handle.write('\n{"passage": "three \\ud800"}\n')
    data = plain.read_bytes()
    (tmp_path / "z.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(data))
    expected = [
        Passage("1", "one", "T", "de", "u"),
        Passage("2", "two", "", "fr"),
        Passage("corpus.jsonl:3", "three ?", "", "fr"),
    ]
    assert list(read_passages([str(plain)], "fr")) == expected
    packed = list(read_passages([str(tmp_path / "z.jsonl.zst")], "fr"))
    assert [p.text for p in packed] == ["one", "two", "three ?"]
    assert corpus_files([str(tmp_path)]) == [str(plain)]
    parts = tmp_path / "documents"
    parts.mkdir()
    table = pa.table({"id": ["a"], "text": ["four"], "language": ["und"], "quality": [0.5]})
    pq.write_table(table, parts / "part-0.parquet")
    assert list(read_passages(corpus_files([str(parts)]))) == [Passage("a", "four")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param('{"title": "x"}', "c.jsonl:1 has no text: .* it has title", id="no text"),
        pytest.param("{", "c.jsonl:1 is no JSON", id="no JSON"),
        pytest.param("[1]", "c.jsonl:1 is no JSON object", id="no object"),
    ],
)
def test_rows_that_are_no_passage_are_named(tmp_path: Path, line: str, message: str) -> None:
    """With file and line."""
    (tmp_path / "c.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=message):
        list(read_passages([str(tmp_path / "c.jsonl")]))


def test_what_is_no_corpus_is_refused(tmp_path: Path) -> None:
    """Another kind of file, an empty folder, nothing at all."""
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"notes\.txt is no corpus: a file ends in \.jsonl"):
        corpus_files([str(tmp_path / "notes.txt")])
    with pytest.raises(InputError, match=r"holds no corpus\.jsonl"):
        corpus_files([str(tmp_path)])
    with pytest.raises(InputError, match="no file matches"):
        corpus_files([str(tmp_path / "*.jsonl")])


@pytest.fixture(scope="module")
def server(index: str) -> Iterator[SearchServer]:
    opened = HybridIndex(index)
    with SearchServer(("127.0.0.1", 0), Searcher(opened, model_of(opened))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(
    server: SearchServer, path: str, body: str | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Return the status, headers and body of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else body.encode()
    connection.request("GET" if body is None else "POST", path, data, named)
    response = connection.getresponse()
    found = response.status, dict(response.getheaders()), response.read().decode()
    connection.close()
    return found


def test_the_page_shows_results_and_why(server: SearchServer) -> None:
    """Form, matches, scores of the heads, shared tokens; no script, and a policy against any."""
    status, headers, text = ask(server, "/?q=" + quote("the lighthouse of Arhaven"))
    assert status == 200
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "script" not in headers["Content-Security-Policy"]
    assert text.count("<li>") == 10
    assert re.search(r"<mark title=\"\d\.\d{3}\">[^<]*lighthouse", text)
    assert "<th>shared token</th>" in text
    assert 'value="the lighthouse of Arhaven"' in text
    _, _, blank = ask(server, "/")
    assert "26 passages" in blank
    assert "<li>" not in blank


class Markup(HTMLParser):
    """What a browser takes for elements and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


def is_harmless(text: str) -> bool:
    """Tell whether a page has only elements of ours, no handler and no address that runs code."""
    found = Markup(text)
    handlers = [name for name, _ in found.attributes if name.startswith("on")]
    places = [v or "" for name, v in found.attributes if name in ("href", "src", "action")]
    code = [place for place in places if not place.startswith(("/", "data:,"))]
    return not found.tags & {"script", "img", "iframe", "object"} and not handlers and not code


def test_nothing_of_a_document_or_query_becomes_markup(server: SearchServer) -> None:
    """Text of a hostile document, query or language is escaped wherever it stands."""
    assert not is_harmless(HOSTILE["text"])
    shown = ""
    for query in (f"lighthouse {HOSTILE['text']}", '"><script>alert(9)</script>', '"onfocus="x'):
        _, _, text = ask(server, f"/?q={quote(query)}&language=en")
        assert is_harmless(text)
        shown += text
    assert "&lt;img src=x onerror=" in re.sub(r"</?mark[^>]*>", "", shown)
    assert "x&quot;&gt;&lt;script&gt;alert(1)" in shown
    for language in ("<script>", '"onload="x'):
        status, _, text = ask(server, f"/?q=sea&language={quote(language)}")
        assert status == 400
        assert is_harmless(text)
        assert 'role="alert"' in text


def test_marks_are_around_escaped_text() -> None:
    """Escaping and marking do not get into each other's way."""
    text = 'a <b> & "c"'
    assert marked(text, [Span(2, 5, 0.5), Span(8, 11, 1)]) == (
        'a <mark title="0.500">&lt;b&gt;</mark> &amp; <mark title="1.000">&quot;c&quot;</mark>'
    )
    assert marked(text, []) == "a &lt;b&gt; &amp; &quot;c&quot;"


def test_text_runs_in_its_own_direction(server: SearchServer) -> None:
    """Arabic is marked as such and its direction left to the browser."""
    _, _, text = ask(server, "/?q=" + quote("المنارة") + "&language=ar")
    assert '<h2 dir="auto" lang="ar">' in text
    assert 'type="search" name="q" dir="auto"' in text
    assert ARABIC["_id"] in text


def test_the_api_answers_as_the_command_line(server: SearchServer, index: str) -> None:
    """GET, POST of one query and of a list give the same results."""
    query = "the keeper of Belwick"
    wanted = json.loads(run("search", index, query, "--json", "--top", 3).out)["results"]
    status, headers, text = ask(server, f"/api/search?q={quote(query)}&top=3")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    kind = {"Content_Type": "application/json"}
    one = ask(server, "/api/search", json.dumps({"query": query, "top": 3}), **kind)[2]
    many = ask(server, "/api/search", json.dumps([{"query": query, "top": 3}] * 2), **kind)[2]
    for answer in (json.loads(text), json.loads(one), *json.loads(many)):
        assert [f["id"] for f in answer["results"]] == [f["id"] for f in wanted]
        assert [f["score"] for f in answer["results"]] == pytest.approx(
            [f["score"] for f in wanted], abs=1e-4
        )
    info = json.loads(ask(server, "/api/info")[2])
    assert info["passages"] == 26
    assert info["languages"] == {"en": 13, "fr": 12, "ar": 1}
    assert info["modes"][0] == "all"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        pytest.param("/api/search", None, 400, "the query is empty", id="no query"),
        pytest.param("/api/search?q=a&top=x", None, 400, "top = 'x' is no whole number", id="top"),
        pytest.param("/api/search?q=a&top=99999", None, 400, "top = 99999", id="too many"),
        pytest.param("/api/search?q=a&mode=x", None, 400, "unknown mode 'x'", id="mode"),
        pytest.param("/api/search?q=a&n=1", None, 400, "unknown field 'n'", id="field"),
        pytest.param("/api/search", "{", 400, "the body is no JSON", id="no JSON"),
        pytest.param("/api/search", "[1]", 400, "send an object with a query", id="no object"),
        pytest.param("/api/search", '{"query": 1}', 400, "are strings", id="no string"),
        pytest.param("/api/search", '{"q": "a", "top": true}', 400, "top = True", id="bool"),
        pytest.param("/api/other", "{}", 404, "there is no /api/other", id="other post"),
        pytest.param("/favicon.ico", None, 404, "there is no /favicon.ico", id="other path"),
    ],
)
def test_requests_that_make_no_sense_are_told_so(
    server: SearchServer, path: str, body: str | None, status: int, message: str
) -> None:
    """In JSON, with a status that says whose mistake it is."""
    found, _, text = ask(server, path, body, Content_Type="application/json")
    assert found == status
    assert message in json.loads(text)["error"]


def test_other_sites_cannot_ask(server: SearchServer) -> None:
    """A page elsewhere cannot post a form, or reach this server under a name of its own."""
    found = ask(server, "/api/search", '{"query": "a"}', Content_Type="text/plain")
    assert found[0] == 415
    status, _, text = ask(server, "/?q=a", Host="evil.example")
    assert status == 421
    assert "localhost only" in text
    assert ask(server, "/api/search?q=a", Host="localhost:80")[0] == 200


def test_a_body_that_is_too_long_is_not_read(server: SearchServer) -> None:
    """Refused by the length that it says it has."""
    kind = {"Content_Type": "application/json", "Content_Length": str((1 << 20) + 1)}
    status, _, text = ask(server, "/api/search", "{}", **kind)
    assert status == 413
    assert "at most 1,048,576 bytes" in text


def test_many_ask_at_once(server: SearchServer) -> None:
    """Threads take turns: each gets the answer to its own question."""
    names = ["Arhaven", "Belwick", "Arness", "Armouth"] * 3
    answers: dict[int, str] = {}

    def one(number: int) -> None:
        text = ask(server, f"/api/search?q={names[number]}&mode=sparse&top=1")[2]
        answers[number] = json.loads(text)["query"]

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[i] for i in range(len(names))] == names


def test_a_port_in_use_is_an_error(server: SearchServer, index: str) -> None:
    """The message names the options."""
    port = server.server_address[1]
    result = run("serve", index, "--port", port)
    assert result.code == 2
    assert f"cannot listen on --host 127.0.0.1 --port {port}" in result.err
