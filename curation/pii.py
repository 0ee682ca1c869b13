"""Personal data in text: e-mail addresses, IP addresses and phone numbers become masks.

Patterns are conservative: what may be a date, a version, a price or a book number stays.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter

EMAIL, IP, PHONE = "<email>", "<ip>", "<phone>"

# Every repetition is bounded: a hostile page costs linear time.
_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64}(?:@|\s?[(\[{](?:at|AT)[)\]}]\s?)"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,6}[^\W\d_]{2,24}(?![\w@])"
)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"(?<![\w.,-])(?<!\d )(?:{_OCTET}\.){{3}}{_OCTET}(?!\.?[\w,-]*\d)(?!\w)")
_NOT_IP = re.compile(r"(?:\bv|ver(?:sion|s|\.)?|release|build|§|section|oid)[ .:]?\s?$", re.I)
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_GAP = r"[ .\-\u00a0\u2010-\u2012]?"
_END = r"(?!\d|[.,:/-]\d|\s?%)"  # no further digits, no share of a hundred
_INTERNATIONAL = re.compile(
    rf"(?<![\w+.,/-])(?!\+\d+(?: 000)+)(?:\+|00(?=[1-9]))[1-9](?:{_GAP}\(?\d\)?){{7,14}}{_END}"
)
_AMERICAN = re.compile(
    r"(?<![\w+.,/-])(?:\([2-9]\d\d\) ?|[2-9]\d\d([-.]))[2-9]\d\d(?:\1|-)\d{4}(?![\d.,/-]*\d)"
)
_WORDS = (
    r"tel|telephone|telefon[eo]?|telefoon|telefono|teléfono|téléphone|tél|tfn|tlf|phone|mobile|fax"
    r"|тел|телефон|τηλ|τηλέφωνο|هاتف|تلفن|טלפון|電話|电话|전화|โทร|फ़ोन|ফোন|điện thoại"
)
_NAMED = re.compile(
    rf"(?i:(?<!\w)(?:{_WORDS})\.?(?: ?(?:no|nr|n°|№)\.?)?[ :：]{{1,3}})"
    rf"(\(?\d\)?(?:[ .\-/()]{{0,2}}\d){{5,13}}){_END}"
)


def mask(text: str) -> tuple[str, Counter[str]]:
    """Return the text with masks, and how many stand for e-mail, IP and phone."""
    found: Counter[str] = Counter()
    if "@" in text or "(at)" in text.lower() or "[at]" in text.lower():
        text, found["email"] = _EMAIL.subn(EMAIL, text)
    if any(digit in text for digit in "0123456789"):
        text = _IPV4.sub(lambda match: _masked_ip(match, found), text)
        text = _IPV6.sub(lambda match: _masked_ip(match, found), text)
        for pattern in (_INTERNATIONAL, _AMERICAN):
            text, count = pattern.subn(PHONE, text)
            found["phone"] += count
        text, count = _NAMED.subn(lambda m: m[0][: m.start(1) - m.start()] + PHONE, text)
        found["phone"] += count
    return text, +found


def _masked_ip(match: re.Match[str], found: Counter[str]) -> str:
    """Return the mask for a public address that is no version, section or time of day."""
    address = match[0]
    before = match.string[max(0, match.start() - 12) : match.start()]
    if len(address) <= len("1.2.3.4") or _NOT_IP.search(before) or not _is_public(address):
        return address
    found["ip"] += 1
    return IP


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
