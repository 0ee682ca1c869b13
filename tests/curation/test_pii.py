"""Masks for personal data, and what must not be taken for it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.pii import mask

MASKED = {
    "plain address": ("mail john.doe@example.com now", "mail <email> now", {"email": 1}),
    "tagged address": ("to j+news@mail.example.co.uk.", "to <email>.", {"email": 1}),
    "unicode address": ("пишите иван@почта.рф!", "пишите <email>!", {"email": 1}),
    "spelt at": ("a(at)b.de or c [at] d.org", "<email> or <email>", {"email": 2}),
    "in brackets": ("(info@example.org)", "(<email>)", {"email": 1}),
    "ipv4": ("from 8.8.4.123 today", "from <ip> today", {"ip": 1}),
    "ipv6": ("at 2606:4700:4700::1111 now", "at <ip> now", {"ip": 1}),
    "international": ("call +49 30 901820, now", "call <phone>, now", {"phone": 1}),
    "with brackets": ("+1 (415) 555-2671", "<phone>", {"phone": 1}),
    "double zero": ("0044 20 7946 0958", "<phone>", {"phone": 1}),
    "french": ("+33 6 12 34 56 78", "<phone>", {"phone": 1}),
    "american": ("(212) 555-0187 or 212-555-0187", "<phone> or <phone>", {"phone": 2}),
    "dotted": ("212.555.0187", "<phone>", {"phone": 1}),
    "named": ("Tel. 030/901820-12", "Tel. <phone>", {"phone": 1}),
    "named fax": ("Fax: 020 7946 0958.", "Fax: <phone>.", {"phone": 1}),
    "japanese": ("電話：03-1234-5678", "電話：<phone>", {"phone": 1}),
    "russian": ("тел. 8 (495) 123-45-67", "тел. <phone>", {"phone": 1}),
    "several": ("a@b.org, +49 30 901820, 8.8.4.123", "<email>, <phone>, <ip>", None),
}


@pytest.mark.parametrize(("text", "expected", "counts"), MASKED.values(), ids=MASKED)
def test_personal_data_are_masked(text: str, expected: str, counts: dict[str, int] | None) -> None:
    """Each is replaced by its kind, what stands around it is left, and it is counted."""
    found, number = mask(text)
    assert found == expected
    assert number == (counts or {"email": 1, "phone": 1, "ip": 1})


KEPT = [
    "2023-05-01",
    "12.05.2023 at 12:30:45",
    "from 2010-2015 and 1999/2000",
    "$1,234,567.89 or 1.234.567,89 EUR",
    "1 234 567 890 people",
    "+20 000 000 people, +3000000000 %",
    "ISBN 978-3-16-148410-0",
    "version 1.2.3, v10.0.19.12, version 10.0.19.12",
    "section 3.1.2.4 and 1.2.3.4",
    "192.168.10.10 and 127.0.0.1 lead nowhere",
    "std::vector and 10:20:30",
    "100-200-3000 or 555-1234-22",
    "user@localhost, @handle and a @ b",
    "tel: 12",
    "telephone 1876 and 1922",
    "pi is 3.14159265358979",
    "UTC+0300, H2O+, C++11",
]


@pytest.mark.parametrize("text", KEPT)
def test_other_numbers_are_left_alone(text: str) -> None:
    """Dates, versions, prices, book numbers, private addresses."""
    assert mask(text) == (text, {})


@given(st.text(st.sampled_from("0123456789+-. ()@a:/[]at"), max_size=80))
@settings(deadline=None, max_examples=200)
def test_masking_comes_to_an_end(text: str) -> None:
    """A mask is no personal data; what a mask laid bare is gone at the second time."""
    once, _ = mask(text)
    twice, _ = mask(once)
    assert mask(twice) == (twice, {})


@pytest.mark.parametrize("piece", ["a@", "1.", "+1 ", "a.b-c", "1:", "tel: 1", "(at)", "a@a."])
def test_hostile_text_costs_linear_time(piece: str) -> None:
    """Half a megabyte of beginnings is read in seconds at most."""
    begin = time.perf_counter()
    mask(piece * (500_000 // len(piece)))
    assert time.perf_counter() - begin < 10
