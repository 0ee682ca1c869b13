"""The body of an HTTP response as a crawler stored it → the bytes of the page.

Common Crawl stores bodies decoded, other crawlers as they came: in chunks, compressed. The
headers are believed only where the bytes bear them out. (The decoding that the WARC reader
offers ends the whole file in silence at some chunked records, so it is not used.)
"""

from __future__ import annotations

import re
import zlib

import zstandard

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,1000})?\r?\n")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def decode_payload(body: bytes, transfer: str, content: str, limit: int) -> bytes | None:
    """Return the page, cut behind `limit` bytes; None for an encoding that is not known.

    `transfer` and `content` are the values of Transfer-Encoding and Content-Encoding, "" if absent.
    """
    if "chunked" in transfer.lower() and _CHUNK_SIZE.match(body):
        body = _joined(body)
    for encoding in reversed([name.strip().lower() for name in content.split(",")]):
        decoded = _decoded(body, encoding, limit)
        if decoded is None:
            return None
        body = decoded
    return body


def _joined(body: bytes) -> bytes:
    """Return the content of chunks, up to where the chunks break off."""
    pieces, position = [], 0
    while match := _CHUNK_SIZE.match(body, position):
        size = int(match[1], 16)
        pieces.append(body[match.end() : match.end() + size])
        position = match.end() + size + (2 if body.startswith(b"\r", match.end() + size) else 1)
        if not size:
            break
    return b"".join(pieces)


def _decoded(body: bytes, encoding: str, limit: int) -> bytes | None:
    try:
        if encoding in ("gzip", "x-gzip") and body.startswith(_GZIP):
            return zlib.decompressobj(wbits=31).decompress(body, limit + 1)
        if encoding == "deflate" and body[:1] not in (b"<", b""):
            raw = -15 if (body[0] & 15) != 8 else 15
            return zlib.decompressobj(wbits=raw).decompress(body, limit + 1)
        if encoding == "zstd" and body.startswith(_ZSTD):
            reader = zstandard.ZstdDecompressor().stream_reader(body)
            return bytes(reader.read(limit + 1))
    except (zlib.error, zstandard.ZstdError):
        return None
    if encoding == "br" and not body.lstrip().startswith(b"<"):
        return None
    return body
