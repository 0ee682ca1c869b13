"""Token lengths of texts, stored so that a run that decides anew need not tokenise them again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash

from curation import storage
from curation.tokens import TokenCounter

_LENGTH = np.dtype([("text", "<u8"), ("tokens", "<i4")])


class StoredLengths:
    """Counts tokens like its counter, and keeps in a file what it counted: 12 bytes a text.

    Texts are known by their 64-bit hash: a file holds those of one part, some ten thousand.
    """

    def __init__(self, path: str, counter: TokenCounter) -> None:
        self._path = path
        self._counter = counter

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        known = self._load()
        found = dict(zip(known["text"].tolist(), known["tokens"].tolist(), strict=True))
        keys = [xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace")) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            counts = self._counter.lengths(list(missing.values()))
            found |= zip(missing, counts, strict=True)
            rows = np.array(sorted(found.items()), _LENGTH)
            with storage.open_write(self._path) as handle:
                np.lib.format.write_array(handle, rows, allow_pickle=False)
        return [found[key] for key in keys]

    def _load(self) -> npt.NDArray[np.void]:
        if not storage.exists(self._path):
            return np.empty(0, _LENGTH)
        with storage.open_read(self._path) as handle:
            return np.lib.format.read_array(handle, allow_pickle=False)
