"""Small inputs in the real formats, written by the tests themselves."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from curation.records import TRAINING_ROW, TrainingRow, to_table
from curation.storage import write_parquet

PARAGRAPH = (
    "The river rises in the northern hills and flows past three market towns before it meets "
    "the sea. Its mills ground corn for eight centuries, and two of them are museums today. "
)


def page_xml(title: str, text: str, number: int, *, ns: int = 0, date: str = "2023-05-01") -> str:
    return (
        f"<page><title>{escape(title)}</title><ns>{ns}</ns><id>{number}</id>"
        f"<revision><id>{number}0</id><timestamp>{date}T00:00:00Z</timestamp>"
        f"<model>wikitext</model><text>{escape(text)}</text></revision></page>\n"
    )


def dump_xml(pages: list[str], language: str = "en") -> str:
    head = (
        f'<mediawiki xml:lang="{language}"><siteinfo>'
        f"<base>https://{language}.wikipedia.org/wiki/Main</base><namespaces>"
        '<namespace key="6">File</namespace><namespace key="14">Category</namespace>'
        "</namespaces></siteinfo>\n"
    )
    return head + "".join(pages) + "</mediawiki>\n"


def write_dump(path: Path, pages: list[str], language: str = "en") -> Path:
    path.write_bytes(bz2.compress(dump_xml(pages, language).encode()))
    return path


def write_json_lines(path: Path, rows: list[object]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def warc_record(
    url: str, body: bytes, *, status: str = "200 OK", kind: str = "text/html", headers: str = ""
) -> bytes:
    http = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    payload = http + body
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\n"
        f"WARC-Target-URI: {url}\r\nWARC-Date: 2024-05-03T00:00:00Z\r\n"
        "WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000000>\r\n"
        "Content-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    ).encode()
    return head + payload + b"\r\n\r\n"


def conversion_record(url: str, text: str) -> bytes:
    body = text.encode()
    head = (
        f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: {url}\r\n"
        "WARC-Date: 2024-05-03T00:00:00Z\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    return head + body + b"\r\n\r\n"


def write_warc(path: Path, records: list[bytes]) -> Path:
    path.write_bytes(b"".join(gzip.compress(record) for record in records))
    return path


def news_html(title: str, text: str, head: str = "") -> bytes:
    paragraphs = "".join(f"<p>{part}</p>" for part in text.split("\n"))
    return (
        f"<html lang='en'><head><title>{title} | The Daily Post</title>{head}</head><body>"
        f"<nav><a href='/'>Home</a> <a href='/news'>News</a></nav>"
        f"<article><h1>{title}</h1>{paragraphs}</article></body></html>"
    ).encode()


TOPICS = {
    "en": (
        "The lighthouse of {0} was built in {1} by the harbour company. Its lamp can be seen "
        "for thirty kilometres, and the keeper of {0} still climbs the stairs every evening."
    ),
    "fr": (
        "Le phare de {0} a été construit en {1} par la compagnie du port. Sa lampe se voit à "
        "trente kilomètres, et le gardien de {0} monte encore les marches chaque soir."
    ),
    "es": (
        "El faro de {0} fue construido en {1} por la compañía del puerto. Su lámpara se ve a "
        "treinta kilómetros, y el guardián de {0} todavía sube la escalera cada noche."
    ),
}


def articles(language: str, count: int) -> list[dict[str, str]]:
    """Distinct short articles with a name each that questions can ask for."""
    names = [f"{a}{b}" for a in _FIRST for b in _SECOND][:count]
    return [
        {"title": name, "text": TOPICS[language].format(name, 1800 + i)}
        for i, name in enumerate(names)
    ]


_FIRST = ("Ar", "Bel", "Cor", "Dun", "Es", "Fal", "Gor", "Hel", "Is", "Jor", "Kel", "Lun")
_SECOND = ("mouth", "haven", "ness", "wick", "stead", "ford", "holm", "vik", "by", "mere")


def training_rows(count: int, negatives: int = 2) -> list[TrainingRow]:
    """Questions about articles, each with its article and the texts of the next ones."""
    found = articles("en", count)
    return [
        TrainingRow(
            id=f"row-{i:03d}",
            query=f"Who built the lighthouse of {article['title']}?",
            positives=[article["text"]],
            negatives=[found[(i + k) % count]["text"] for k in range(1, negatives + 1)],
            relation="question-document",
            source="test",
            query_language="en",
            language="en",
            length=40,
        )
        for i, article in enumerate(found)
    ]


def short_rows(count: int) -> list[TrainingRow]:
    """Rows `name → The keeper of name.`, with a second positive and two negatives."""
    rows = training_rows(count)
    names = [row.query.split()[-1].rstrip("?") for row in rows]
    for i, row in enumerate(rows):
        row.query = names[i]
        row.positives = [f"The keeper of {names[i]}.", f"It was {names[i]}, by the sea."]
        row.negatives = [f"The lamp of {names[(i + k) % count]}." for k in (1, 2)]
    return rows


def write_training_shards(
    folder: Path, rows: list[TrainingRow], sizes: list[int], bucket: str = "0-500"
) -> dict[str, Any]:
    """Write shards of so many rows each, in row groups of 3; return their manifest."""
    parts, start = [], 0
    for number, size in enumerate(sizes):
        name = f"length={bucket}/part-{number:05d}.parquet"
        table = to_table(rows[start : start + size], TRAINING_ROW)
        parts.append(write_parquet(str(folder / name), table, row_group_rows=3) | {"name": name})
        start += size
    assert start == len(rows), "sizes must add up to the rows"
    return {"parts": parts}
