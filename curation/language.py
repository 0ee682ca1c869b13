"""Which language a text is in: two engines, gated by script and by what the source declares.

py3langid covers 140 languages; langdetect 55, on which it is the better second opinion. Neither
knows all languages, and both are confidently wrong on one they do not know, so a verdict must
fit the script of the text, and a declared language that neither engine can recognise is kept
(reference: curation, section 4).
"""

from __future__ import annotations

import threading
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import langdetect
from langdetect import detector_factory
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from curation import text as texts

_SAMPLE = 1000  # characters an engine sees; langdetect's cost grows with them, its accuracy not
_OVERRULES = 0.9  # both engines against the source: believed from this score on
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The language decided, how sure the first engine was (0..1), and whether both agreed."""

    language: str
    score: float
    agreement: bool
    script: str


@cache
def _scripts() -> dict[str, frozenset[str]]:
    resource = files("curation").joinpath("scripts.toml")
    data = tomllib.loads(resource.read_text(encoding="utf-8"))
    by_language: dict[str, set[str]] = {}
    for script, languages in data["languages"].items():
        for language in languages.split():
            by_language.setdefault(language, set()).add(script)
    return {language: frozenset(scripts) for language, scripts in by_language.items()}


def base_code(language: str) -> str:
    """Return the code without script or region, in the form the engines use."""
    code = language.replace("_", "-").lower().partition("-")[0]
    return {"nb": "no", "iw": "he", "in": "id", "simple": "en", "fil": "tl", "jv": "jv"}.get(
        code, code
    )


def fits_script(language: str, script: str) -> bool:
    """Tell whether a language may be written in a script; unknown languages fit any."""
    known = _scripts().get(base_code(language))
    return known is None or not script or script in known


class LanguageDetector:
    """The two engines, loaded once per process; build it in `DoFn.setup`."""

    def __init__(self) -> None:
        self._first = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self._first_labels = frozenset(map(str, self._first.labels))
        with _LOCK:  # langdetect's lazy load is a race: 56 of 64 first calls in 8 threads failed
            langdetect.DetectorFactory.seed = 0
            detector_factory.init_factory()
        self._second_labels = frozenset(
            base_code(label) for label in detector_factory._factory.get_lang_list()
        )

    def knows(self, language: str) -> bool:
        """Tell whether either engine has a label for the language."""
        code = base_code(language)
        return code in self._first_labels or code in self._second_labels

    def detect(self, text: str, declared: str | None = None) -> Verdict:
        """Return the verdict on a text of any length; "und" for one without letters."""
        sample = text[:_SAMPLE]
        script = texts.dominant_script(sample)
        if not script:
            return Verdict(declared or "und", 0.0, False, "")
        ranked = self._ranked(sample, script)
        first, score = ranked[0] if ranked else ("und", 0.0)
        if declared and not self.knows(declared):
            return Verdict(declared, 0.0, False, script)
        if declared and base_code(declared) == first:
            return Verdict(declared, score, True, script)
        second = self._second(sample) if self._asks_second(first) else first
        if declared and base_code(declared) == second:
            return Verdict(declared, dict(ranked).get(second, 0.0), False, script)
        if declared and not (first == second and score >= _OVERRULES):
            return Verdict(declared, dict(ranked).get(base_code(declared), 0.0), False, script)
        return Verdict(first, score, first == second, script)

    def _asks_second(self, first: str) -> bool:
        return first in self._second_labels

    def _ranked(self, sample: str, script: str) -> list[tuple[str, float]]:
        """Return py3langid's labels that fit the script, best first, scores renormalised."""
        ranked = [
            (str(label), float(score))
            for label, score in self._first.rank(sample)
            if fits_script(str(label), script)
        ]
        total = sum(score for _, score in ranked)
        return [(label, score / total) for label, score in ranked] if total > 0 else ranked

    def _second(self, sample: str) -> str:
        try:
            return base_code(langdetect.detect(sample))
        except langdetect.LangDetectException:  # no usable character
            return "und"
