"""HTML bytes before parsing: what is stripped, the charset, the nesting."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sources import html, markup
from tests.builders import PARAGRAPH

RUSSIAN = "Маяк был построен в 1900 году"
GREEK = "Ο φάρος χτίστηκε το 1900"

DECODED = {
    "header": (RUSSIAN.encode("koi8-r"), "koi8-r", RUSSIAN),
    "header in capitals": (RUSSIAN.encode("cp1251"), "WINDOWS-1251", RUSSIAN),
    "header over meta": (f"<meta charset=latin1>{RUSSIAN}".encode(), "utf-8", None),
    "meta": (b'<meta charset="iso-8859-7">' + GREEK.encode("iso-8859-7"), None, GREEK),
    "http-equiv": (
        b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">'
        + RUSSIAN.encode("cp1251"),
        None,
        RUSSIAN,
    ),
    "meta behind a wrong header": (
        b"<meta charset=windows-1251>" + RUSSIAN.encode("cp1251"),
        "utf-8",
        RUSSIAN,
    ),
    "utf-8 undeclared": (GREEK.encode(), None, GREEK),
    "unknown name": (GREEK.encode(), "x-no-such", GREEK),
    "a codec that is no charset": (GREEK.encode(), "hex", GREEK),
    "name with a NUL": (GREEK.encode(), "utf\0", GREEK),
    "utf-8 mark over header": (b"\xef\xbb\xbf" + GREEK.encode(), "latin1", GREEK),
    "utf-16-le mark": (b"\xff\xfe" + GREEK.encode("utf-16-le"), "latin1", GREEK),
    "utf-16-be mark": (b"\xfe\xff" + GREEK.encode("utf-16-be"), None, GREEK),
    "empty": (b"", None, ""),
}


@pytest.mark.parametrize(("body", "header", "expected"), DECODED.values(), ids=DECODED)
def test_decoding_order(body: bytes, header: str | None, expected: str | None) -> None:
    """Mark, header, meta, UTF-8: the first that the bytes do not contradict."""
    found = markup.decode(body, header)
    assert found.endswith(RUSSIAN if expected is None else expected)
    assert "\ufeff" not in found


@given(st.binary(max_size=300), st.none() | st.sampled_from(["utf-8", "koi8-r", "gb2312", "no"]))
@settings(deadline=None, max_examples=100)
def test_any_bytes_decode(body: bytes, header: str | None) -> None:
    """Decoding never raises, and what comes out can be written as UTF-8."""
    found = markup.decode(body, header)
    assert found.encode().decode() == found
    assert found or body in (b"", *(mark for mark, _ in markup._BOMS))


DEEP = markup.MAX_DEPTH + 1


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<div>" * DEEP, True),
        ("<DIV class='x'>" * DEEP + "</div>" * DEEP, True),
        ("<table><tr><td>" * DEEP, True),
        ("<div>" * (DEEP - 1) + "<p>" * DEEP, False),
        ("<div></div>" * DEEP, False),
        ("</div>" * DEEP + "<div>" * (DEEP - 1), False),
        ("<p>" * 3 * DEEP, False),
        ("<divider>" * DEEP, False),
    ],
    ids=["open", "closed", "tables", "just", "side by side", "ends first", "paragraphs", "names"],
)
def test_depth_is_that_of_blocks(source: str, expected: bool) -> None:
    """Only blocks inside blocks count."""
    assert markup.is_too_deep(source) is expected


def test_the_deepest_page_allowed_is_quick() -> None:
    """Extraction is quadratic in depth; at the limit it must not be felt."""
    source = "<div>" * markup.MAX_DEPTH + PARAGRAPH
    assert not markup.is_too_deep(source)
    start = time.process_time()
    assert html.extract(source).text == PARAGRAPH.strip()
    assert time.process_time() - start < 2


STRIPPED = {
    "script": (b"a<script>var x='<p>'</script>b", b"ab"),
    "attributes": (b"a<script src=x async>1</script >b", b"ab"),
    "capitals": (b"a<SCRIPT>1</SCRIPT>b<script>2</script>c", b"abc"),
    "mixed case": (b"a<Style>1</Style>b", b"ab"),
    "capitals closed in small": (b"a<SCRIPT>1</script>b", b"ab"),
    "drawing": (b"a<svg><title>icon</title></svg>b", b"ab"),
    "comment": (b"a<!-- <script> -->b", b"ab"),
    "empty comments": (b"a<!-->b<!--->c<!---->d", b"abcd"),
    "comment in a script": (b"a<script><!-- 1 </script>b-->c", b"ab-->c"),
    "script in a comment": (b"a<!-- <script> --> b <!-- </script> -->c", b"a b c"),
    "never closed": (b"a<script>1 <p>b", b"a"),
    "comment never closed": (b"a<!-- 1 <p>b", b"a"),
    "end tag cut": (b"a<style>1</style", b"a"),
    "other names": (b"<scripture>a</scripture><styled>b</styled>",) * 2,
    "wide characters": (b"\xff\xfe" + "<script>1</script>".encode("utf-16-le"),) * 2,
}


@pytest.mark.parametrize(("body", "expected"), STRIPPED.values(), ids=STRIPPED)
def test_what_is_never_read_is_stripped(body: bytes, expected: bytes) -> None:
    """Scripts, styles, drawings and comments go, whatever they hold; nothing else does."""
    assert markup.strip_unread(body) == expected


def test_stripping_is_linear() -> None:
    """Ten megabytes of tags that are never closed take no time to speak of."""
    for hostile in (b"<!--", b"<script>", b"<!-- -->", b"<SCRIPT></SCRIPT>", b"<script></SCRIPT>"):
        start = time.process_time()
        markup.strip_unread(hostile * ((2 << 20) // len(hostile)))
        assert time.process_time() - start < 2, hostile
