"""Wikipedia XML dumps → articles.

A dump is cut at `<page>` and each page is parsed on its own: a malformed page costs itself
only, a truncated dump its last page, memory is bounded by one page, and no document type
declaration (hence no entity expansion) can take effect inside a fragment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from curation.records import Reject
from curation.sources import wikitext
from curation.sources.raw import RawDocument, RawSection

MAX_PAGE = 32 << 20
_CHUNK = 1 << 20
_OPEN, _CLOSE = b"<page>", b"</page>"
_XML_INVALID = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_REDIRECT = re.compile(r"\s*#\s*\w+\s*:?\s*\[\[")


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """What the head of a dump says of its wiki."""

    language: str
    host: str
    namespaces: frozenset[str]


def read_articles(
    stream: IO[bytes], source: str, declared: str | None
) -> Iterator[RawDocument | Reject]:
    """Yield the articles (namespace 0, no redirects) of a dump, and rejects for broken pages.

    `declared` is the language from the config; None takes the dump's own `xml:lang`.
    """
    info: SiteInfo | None = None
    for kind, block in _blocks(stream):
        if info is None:
            info = _site_info(block if kind == "head" else b"", declared)
            site = wikitext.site_for(info.language, info.namespaces)
        if kind == "page":
            yield from _article(block, info, site, source)
        elif kind != "head":
            title = re.search(rb"<title>([^<]*)", block[:2000])
            name = title[1].decode("utf-8", "replace") if title else "?"
            yield Reject(f"{source}:{info.language}:{name}", "extract", kind, source, info.language)


def _blocks(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield ("head", bytes before the first page) once, then pages.

    Too long and unfinished ones come as ("page_too_large" / "truncated_page", their beginning).
    """
    buffer = bytearray()
    head_done = False
    chunk = b"-"
    while chunk:  # once more at the end: what follows a skipped page is in the buffer already
        chunk = stream.read(_CHUNK)
        buffer += chunk
        position = 0
        while (begin := buffer.find(_OPEN, position)) >= 0:
            if not head_done:
                yield "head", bytes(buffer[:begin])
                head_done = True
            end = buffer.find(_CLOSE, begin)
            if end < 0:
                position = begin
                break
            position = buffer.find(_OPEN, begin + 1, end)
            if position >= 0:  # a page that was cut short must not take the next one along
                yield "truncated_page", bytes(buffer[begin : min(position, begin + 2000)])
                continue
            position = end + len(_CLOSE)
            yield "page", bytes(buffer[begin:position])
        else:
            position = max(position, len(buffer) - len(_OPEN)) if head_done else 0
        del buffer[:position]
        if len(buffer) > MAX_PAGE:
            yield "page_too_large", bytes(buffer[:2000])
            buffer = _skip_page(stream, buffer)
    if head_done and buffer.startswith(_OPEN):
        yield "truncated_page", bytes(buffer[:2000])


def _skip_page(stream: IO[bytes], buffer: bytearray) -> bytearray:
    """Drop bytes up to the next page's beginning; keep what follows."""
    tail = buffer[-len(_OPEN) :]
    while chunk := stream.read(_CHUNK):
        tail += chunk
        if (at := tail.find(_OPEN)) >= 0:
            return tail[at:]
        del tail[: -len(_OPEN)]
    return bytearray()


def _site_info(head: bytes, declared: str | None) -> SiteInfo:
    text = head.decode("utf-8", "replace")
    language = re.search(r'xml:lang="([^"]+)"', text)
    base = re.search(r"<base>([^<]+)</base>", text)
    names = re.findall(r'<namespace key="(?:-2|6|14)"[^>]*>([^<]+)<', text)
    code = declared or (language[1] if language else "und")
    host = urlsplit(base[1]).netloc if base else f"{code}.wikipedia.org"
    return SiteInfo(code, host, frozenset(names))


def _article(
    block: bytes, info: SiteInfo, site: wikitext.Site, source: str
) -> Iterator[RawDocument | Reject]:
    try:
        page = ET.fromstring(_XML_INVALID.sub(b"", block))  # noqa: S314 - see the module's head
    except ET.ParseError as error:
        found = re.search(rb"<title>([^<]*)", block)
        name = found[1].decode("utf-8", "replace") if found else "?"
        identity = f"{source}:{info.language}:{name}"
        yield Reject(identity, "extract", "malformed_xml", source, info.language, str(error))
        return
    text = page.findtext("revision/text") or ""
    if page.findtext("ns", "0") != "0" or page.find("redirect") is not None:
        return
    if _REDIRECT.match(text[:200]):
        return
    title = (page.findtext("title") or "").strip()
    number = page.findtext("id", "")
    identity = f"{source}:{info.language}:{number or title}"
    if page.findtext("revision/model", "wikitext") != "wikitext":
        return
    blocks = wikitext.parse(text, site, title)
    if not title or not blocks:
        reason = "no_title" if not title else "no_text"
        yield Reject(identity, "extract", reason, source, info.language, title, text[:200])
        return
    yield RawDocument(
        id=identity,
        title=title,
        sections=[RawSection(b.heading, b.level, b.text) for b in blocks],
        abstract=blocks[0].text if not blocks[0].heading else "",
        url=f"https://{info.host}/wiki/{quote(title.replace(' ', '_'))}",
        date=page.findtext("revision/timestamp", "")[:10],
        language=info.language,
    )
