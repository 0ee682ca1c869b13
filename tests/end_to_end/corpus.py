"""A small corpus of every kind of source, with one of each fault, and its run config.

Documents to expect: 21 of Wikipedia (20 towns and a long page with a hostile title), 22 of C4,
20 of the guide, 4 news pages; the catalogue gives two pairs in both directions.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests import builders
from tests.llm_server import Reply

ARTICLES = 20
ANSI = "\x1b[31m"
SCRIPT = "<script>alert(1)</script>"

PO = """\
msgid ""
msgstr "Language: fr\\n"

msgid "The archive of the harbour opens on Monday"
msgstr "Les archives du port ouvrent le lundi"

msgid "Every keeper of the lighthouse signs the book"
msgstr "Chaque gardien du phare signe le registre"

#, fuzzy
msgid "The lamp of the lighthouse is out of order"
msgstr "La lampe est verte"

msgid "The company owns %(count)d towers on the coast"
msgstr "La compagnie possède %(count)d tours sur la côte"

msgid "Yes"
msgstr "Oui"
"""


def write_corpus(folder: Path) -> None:
    """Write a Wikipedia dump (and an older one), C4 lines, a WARC, JSON rows and a catalogue."""
    folder.mkdir(parents=True, exist_ok=True)
    builders.write_dump(folder / "enwiki-a.xml.bz2", wikipedia_pages())
    old = builders.page_xml("Armouth", wiki_article("Armouth", 1700), 1, date="2019-01-01")
    builders.write_dump(folder / "enwiki-b.xml.bz2", [old])
    builders.write_json_lines(folder / "c4-fr.json.gz", c4_rows())
    rows = [*builders.articles("es", ARTICLES), {"text": "Una fila sin título."}]
    (folder / "es.json").write_text(json.dumps(rows), encoding="utf-8")
    builders.write_warc(folder / "news.warc.gz", warc_records())
    (folder / "fr.po").write_text(PO, encoding="utf-8")


def wiki_article(name: str, year: int) -> str:
    text = builders.TOPICS["en"].format(name, year)
    return (
        f"{text}\n\n== Keepers ==\n"
        f"The first keeper of {name} wrote a journal of {year} pages about storms and wrecks. "
        "A museum in the old tower shows it to visitors from many countries."
    )


def shuffled(text: str, seed: int) -> str:
    """Return the words in another order: as long a text, which repeats nothing."""
    words = text.split()
    random.Random(seed).shuffle(words)
    return " ".join(words)


def wikipedia_pages() -> list[str]:
    names = [a["title"] for a in builders.articles("en", ARTICLES)]
    pages = [
        builders.page_xml(name, wiki_article(name, 1800 + i), i + 1) for i, name in enumerate(names)
    ]
    copy = builders.page_xml("Copy of Arhaven", wiki_article("Arhaven", 1801), 900)
    stub = builders.page_xml("Stub", "A stub.", 901)
    parts = "\n\n".join(f"Part {i}. {shuffled(builders.PARAGRAPH, i)}" for i in range(8))
    hostile = builders.page_xml(SCRIPT, f"{wiki_article('Scripthaven', 1950)}\n\n{parts}", 902)
    redirect = builders.page_xml("Old name", "#REDIRECT [[Armouth]]", 903)
    return [*pages, copy, stub, hostile, redirect, "<page><title>Broken</title><ns>0</page>\n"]


def c4_rows() -> list[Any]:
    rows: list[Any] = [
        {
            "text": f"{a['title']}\n{a['text']}",
            "url": f"https://fr.example/{a['title']}",
            "timestamp": "2020-02-02T00:00:00Z",
        }
        for a in builders.articles("fr", ARTICLES + 2)
    ]
    rows[-1]["language"] = f"{ANSI}fr"
    rows[-2]["language"] = 5
    return [*rows, {"url": "https://fr.example/none"}, {"text": "Une phrase sans titre."}]


def warc_records() -> list[bytes]:
    records = []
    for i, name in enumerate(["Northgate", "Southgate", "Eastgate", "Westgate"]):
        body = builders.news_html(
            f"{name} opens a new tower",
            f"The city of {name} opened its new tower on Friday. {builders.PARAGRAPH}"
            f"The mayor of {name} said that {40 + i} workers had built it within two years.",
        )
        records.append(builders.warc_record(f"https://news.example/{name}", body))
    gone = builders.warc_record("https://news.example/gone", b"gone", status="404 Not Found")
    pdf = builders.warc_record("https://news.example/x.pdf", b"%PDF", kind="application/pdf")
    return [*records, gone, pdf]


def answer(body: dict[str, Any]) -> Reply:
    """Answer a base prompt in its language; some names get an answer of each bad kind."""
    prompt = str(body["prompt"])
    text = prompt.rpartition("\n\n")[0]
    names = [a["title"] for a in builders.articles("en", ARTICLES)]
    name = next((n for n in (*names, "Scripthaven") if f" {n} " in f"{text} "), "Northgate")
    if name == "Arness":
        return Reply(" the lighthouse and its harbour in", finish_reason="length")
    if name == "Arwick":
        return Reply("")
    if prompt.startswith("Texte"):
        return Reply(f" a fait construire le phare que le gardien de {name} surveille chaque soir")
    if prompt.startswith("Texto"):
        return Reply(f" mandó construir el faro que vigila cada noche el guardián de {name}")
    return Reply(f" did the company build the tower that the keeper of {name} climbs")


CONFIG = """\
out = "{out}"

[model]
encoder = "{encoder}"
pooling = "mean"
max_query_tokens = 32
max_passage_tokens = 64

[splits]
held_out = 0.3

[curation]
part_mb = 0.02

[[curation.sources]]
kind = "wikipedia"
path = "{corpus}/enwiki-*.xml.bz2"

[[curation.sources]]
kind = "c4"
path = "{corpus}/c4-fr.json.gz"
language = "fr"

[[curation.sources]]
kind = "json"
name = "guide"
path = "{corpus}/es.json"
language = "es"
columns = {{ title = "title", text = "text" }}

[[curation.sources]]
kind = "cc-news"
path = "{corpus}/news.warc.gz"

[[curation.sources]]
kind = "po"
path = "{corpus}/fr.po"

[synthesis]
base_url = "{url}"
model = "scripted"
api_key_env = "THREEFOLD_TEST_KEY"
prompt = "base"
documents_per_language = 12
min_document_characters = 120
min_paragraph_characters = 120
max_output_tokens = 32
max_attempts = 1
concurrency = 2

[synthesis.round_trip]
pool = 4
dtype = "fp32"

[mining]
relations = ["question-document", "title-body", "parallel"]
negatives = 3
depth = 30
max_positive_ratio = 10.0
encode.dtype = "fp32"
part_mb = 0.02

[train]
epochs = 1.0
max_steps = 4
memory = "plain"
batch_sizes = [8, 4, 4, 4, 4, 4, 4, 4, 4]
batch_tokens = 2048
negatives = 2
dropout = 0.0
save_steps = 1

[[train.stages]]
kind = "warmup"
epochs = 0.2
max_steps = 0

[[train.stages]]
kind = "finetune"

[[evaluation.sets]]
kind = "questions"
max_documents = 40
"""


def write_config(path: Path, *, out: Path, corpus: Path, encoder: str, url: str) -> Path:
    path.write_text(CONFIG.format(out=out, corpus=corpus, encoder=encoder, url=url))
    return path
