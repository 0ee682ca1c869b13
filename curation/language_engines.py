"""What each language engine says of a text: the languages it knows and their shares."""

from __future__ import annotations

import re
from functools import cache

import pycld2
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from curation import language_profiles
from curation.language_codes import base_code, fits_script

# What CLD2 raises on: its notion of valid UTF-8 leaves out controls and non-characters.
_REFUSED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_NO_LANGUAGE = frozenset({"zxx", "zzp", "zzb", "zze", "zzh", "tlh", "un", "xx", "xxx"})


def code_in_script(label: str, script: str) -> str:
    """Return the code of an engine's label; Kurdish in Arabic letters is Central Kurdish."""
    code = base_code(label)
    return "ckb" if code == "ku" and script == "Arabic" else code


class Langid:
    """py3langid: naive Bayes over byte n-grams, 138 languages; 0.13 ms for 250 characters."""

    def __init__(self) -> None:
        self._model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self._labels = [str(label) for label in self._model.labels]
        self.languages = frozenset(map(base_code, self._labels)) - _NO_LANGUAGE

    def shares(self, sample: str, script: str) -> dict[str, float]:
        """Return the probability of each language that fits the script, best first; sum 1."""
        codes = _codes_in_script(tuple(self._labels), script)
        shares: dict[str, float] = {}
        for label, score in self._model.rank(sample):
            code = codes.get(label)
            if code:
                shares[code] = shares.get(code, 0.0) + score
        total = sum(shares.values())
        return {code: score / total for code, score in shares.items()} if total else {}


@cache
def _codes_in_script(labels: tuple[str, ...], script: str) -> dict[str, str]:
    """Return label → code for the labels of languages written in the script."""
    return {
        label: code_in_script(label, script)
        for label in labels
        if base_code(label) not in _NO_LANGUAGE and fits_script(label, script)
    }


class Cld2:
    """CLD2: scored tables of quadgrams, 160 languages; 0.017 ms for 250 characters."""

    def __init__(self) -> None:
        detected = set(pycld2.DETECTED_LANGUAGES)
        codes = {base_code(code) for name, code in pycld2.LANGUAGES if name in detected}
        self.languages = codes - _NO_LANGUAGE - {"ku"} | {"ckb"}  # its Kurdish is in Arabic letters

    def shares(self, sample: str, script: str) -> dict[str, float]:
        """Return the share of the text in each of up to three languages that fit the script."""
        try:
            _, _, found = pycld2.detect(_REFUSED.sub(" ", sample), bestEffort=True)
        except pycld2.error:
            return {}
        shares: dict[str, float] = {}
        for _, label, percent, _ in found:
            code = code_in_script(label, script)
            if percent and code in self.languages and fits_script(code, script):
                shares[code] = shares.get(code, 0.0) + percent / 100
        return shares


class Profiles:
    """Our own rank-ordered n-grams, 427 languages; 0.3 ms, so asked only in doubt."""

    def __init__(self) -> None:
        self.languages = language_profiles.languages()

    def lags(self, sample: str, script: str) -> dict[str, float]:
        """Return how far each language of the script lies behind the best (0), best first."""
        profiles = language_profiles.script_profiles(script)
        if profiles is None:
            return {}
        scores = profiles.scores(sample)
        order = (-scores).argsort(kind="stable")
        return {profiles.languages[i]: float(scores[i] - scores[order[0]]) for i in order}
