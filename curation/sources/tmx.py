"""TMX (translation memory exchange) → translations.

A file is cut at its translation units and each unit is parsed on its own: a malformed unit costs
itself only, memory is bounded by one unit, and no document type declaration (hence no entity
expansion) can take effect inside a fragment.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterator
from typing import IO
from xml.etree import ElementTree as ET

from curation.language_codes import canonical_code
from curation.records import Reject
from curation.sources.bitext import Bitext
from curation.sources.raw import RawTranslation

MAX_UNIT = 4 << 20
_CHUNK = 1 << 18
_OPEN = re.compile(r"<tu[\s>]")
_CLOSE = "</tu>"
_KEPT = len("<tu")  # characters that may begin a unit at the end of a piece
_ENCODING = re.compile(rb"<\?xml[^>]*encoding=[\"']([A-Za-z0-9._-]+)[\"']")
_SOURCE_LANGUAGE = re.compile(r"<header\b[^>]*\bsrclang=[\"']([A-Za-z-]+)[\"']")
_INVALID = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_SHOWN = frozenset({"seg", "hi", "sub"})  # other elements inside a segment hold native markup


def read_units(stream: IO[bytes], bitext: Bitext) -> Iterator[RawTranslation | Reject]:
    """Yield the translations of each unit: its source segment with each of the others.

    The source is the bitext's language, else the header's `srclang`, else the unit's first. Where
    the bitext names both languages, other segments are left out.
    """
    source_language = bitext.language
    for number, (kind, block) in enumerate(_blocks(stream)):
        if kind == "head":
            header = _SOURCE_LANGUAGE.search(block)
            if source_language is None and header and header[1] != "*all*":
                source_language = canonical_code(header[1])
        elif kind == "unit":
            yield from _unit(block, number, source_language, bitext)
        else:
            yield bitext.reject(number, kind, excerpt=block)


def _decoded(stream: IO[bytes]) -> Iterator[str]:
    """Yield the text in pieces, in the encoding that the file declares; UTF-8 if none or unknown.

    A stream that began with a byte-order mark is UTF-8 by now, whatever it declares.
    """
    chunk = stream.read(_CHUNK)
    declared = _ENCODING.match(chunk.lstrip()[:200])
    name = declared[1].decode().lower() if declared else "utf-8"
    try:
        decoder = codecs.getincrementaldecoder(name if "utf" not in name else "utf-8")("replace")
    except LookupError:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while chunk:
        yield decoder.decode(chunk)
        chunk = stream.read(_CHUNK)
    yield decoder.decode(b"", True)


def _blocks(stream: IO[bytes]) -> Iterator[tuple[str, str]]:
    """Yield ("head", text before the first unit) once, then ("unit", text).

    Too long and unfinished ones come as ("unit_too_large" / "truncated_unit", their beginning).
    """
    buffer, head_done, too_large = "", False, False
    for piece in _decoded(stream):
        buffer += piece
        begin = _OPEN.search(buffer)
        if begin and not head_done:
            yield "head", buffer[: begin.start()]
            head_done = True
        if begin:
            too_large = False
            rest = yield from _whole_units(buffer, begin.start())
            buffer = buffer[rest:]
        elif head_done or len(buffer) > MAX_UNIT:
            buffer = buffer[-_KEPT:]
        if len(buffer) > MAX_UNIT:
            if not too_large:
                yield "unit_too_large", buffer[:200]
            buffer, too_large = buffer[-_KEPT:], True
    if _OPEN.match(buffer):
        yield "truncated_unit", buffer[:200]


def _whole_units(buffer: str, position: int) -> Generator[tuple[str, str], None, int]:
    """Yield the units that end in the buffer; return where what is left begins."""
    while begin := _OPEN.search(buffer, position):
        end = buffer.find(_CLOSE, begin.end())
        following = _OPEN.search(buffer, begin.end(), end if end >= 0 else len(buffer))
        if following:  # a unit that was cut short must not take the next one along
            yield "truncated_unit", buffer[begin.start() : begin.start() + 200]
            position = following.start()
        elif end >= 0:
            position = end + len(_CLOSE)
            yield "unit", buffer[begin.start() : position]
        else:
            return begin.start()
    return max(position, len(buffer) - _KEPT)


def _unit(
    block: str, number: int, source_language: str | None, bitext: Bitext
) -> Iterator[RawTranslation | Reject]:
    try:
        unit = ET.fromstring(_INVALID.sub("", block))  # noqa: S314 - see the module's head
        texts = _segments(unit)
    except (ET.ParseError, RecursionError) as error:
        yield bitext.reject(number, "malformed_xml", str(error), block)
        return
    source = source_language if source_language in texts else next(iter(texts), None)
    wanted = bitext.translation_language
    others = [code for code in texts if code != source and wanted in (None, code)]
    if source is None or not others or (bitext.language and source != bitext.language):
        yield bitext.reject(number, "missing_language", " ".join(texts), block)
        return
    for code in others:
        if "\ufffd" in texts[source] + texts[code]:
            yield bitext.reject(number, "undecodable", excerpt=texts[code])
            continue
        identity = bitext.identity(number)
        yield RawTranslation(texts[source], texts[code], source, code, identity)


def _segments(unit: ET.Element) -> dict[str, str]:
    """Return the text of each language; of two variants in one language the first."""
    texts: dict[str, str] = {}
    for variant in unit.iterfind("tuv"):
        language = variant.get(_LANGUAGE) or variant.get("lang") or ""
        segment = variant.find("seg")
        if language and segment is not None:
            texts.setdefault(canonical_code(language), _shown_text(segment))
    return texts


def _shown_text(element: ET.Element) -> str:
    """Return what a reader sees of a segment: no codes of the format that it came from."""
    pieces = [element.text or ""]
    for child in element:
        if child.tag in _SHOWN:
            pieces.append(_shown_text(child))
        pieces.append(child.tail or "")
    return "".join(pieces)
