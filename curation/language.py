"""Which language a text is in: two engines and a tie-breaker, the script, and the source.

py3langid (138 languages) and CLD2 (161) know 186 between them; each is sure of itself on a
language it does not know. Where they agree on a probable language they are believed. Elsewhere
our own profiles of 427 languages are asked too, and a log-linear model weighs what was said;
its five weights were fitted on short texts of 150 languages (benchmarks/language.md), and its
probability is the score. A verdict always fits the script of the text. What the source declares
is kept unless the text says otherwise at 150 to 1, and no relative of the declared language.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from curation import text as texts
from curation.language_codes import are_related, base_code, fits_script
from curation.language_engines import Cld2, Langid, Profiles

_SAMPLE = 1000  # characters CLD2 and the script count see
_LANGID_BYTES = 400  # of UTF-8: py3langid costs ten times CLD2, and is right by then if ever
_CONVINCED = 0.8  # py3langid's share from which its agreement with CLD2 needs no third opinion
_DECLARED = 5.0  # nats by which another language must lead the declared one: 150 to 1
_DECLARED_IN_OTHER_SCRIPT = 1.0
_LONG = 150  # characters below which the engines must agree on it, too

# Weights of the log-linear model, in nats.
_LANGID = 1.52  # of the log of py3langid's share
_LANGID_FLOOR = 1e-3
_LANGID_UNKNOWN = -1.2  # for a language it has no label for
_CLD2 = 1.95  # of CLD2's share
_CLD2_UNKNOWN = 0.3
_PROFILE = 5.23  # of the lag behind the best profile, times sqrt(hundreds of characters)
_PROFILE_SAMPLE = 400


@dataclass(frozen=True, slots=True)
class Verdict:
    """The language decided, and its probability by the text alone (0..1).

    agreement: every engine that knows the language named it, and at least one does.
    """

    language: str
    score: float
    agreement: bool
    script: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What each engine said of a text."""

    characters: int
    langid: dict[str, float]
    cld2: dict[str, float]
    profiles: dict[str, float]

    @property
    def named(self) -> tuple[str, str]:
        """The first language of either engine, "" for none."""
        return next(iter(self.langid), ""), max(self.cld2, key=self.cld2.__getitem__, default="")


class LanguageDetector:
    """The engines, loaded once per process; build it in `DoFn.setup`."""

    def __init__(self) -> None:
        self._langid = Langid()
        self._cld2 = Cld2()
        self._profiles = Profiles()

    def knows(self, language: str) -> bool:
        """Tell whether an engine or a profile could name the language."""
        return self._has_engine(language) or base_code(language) in self._profiles.languages

    def _has_engine(self, language: str) -> bool:
        code = base_code(language)
        return code in self._langid.languages or code in self._cld2.languages

    def detect(self, text: str, declared: str | None = None) -> Verdict:
        """Return the verdict on a text of any length; "und" for one without letters."""
        sample = text[:_SAMPLE]
        script = texts.dominant_script(sample)
        if not script:
            return Verdict(declared or "und", 0.0, False, "")
        if declared and not self.knows(declared):
            return Verdict(declared, 0.0, False, script)
        evidence = self._evidence(sample, script, base_code(declared) if declared else "")
        logits = self._logits(evidence, base_code(declared) if declared else "")
        language = max(logits, key=logits.__getitem__, default="und")
        if declared and not self._overrules(evidence, logits, language, declared, script):
            language = declared
        code = base_code(language)
        return Verdict(language, probability(logits, code), self._agree_on(evidence, code), script)

    def _evidence(self, sample: str, script: str, declared: str) -> Evidence:
        """Ask the engines, and the profiles unless the engines agree and the source too."""
        shares = self._langid.shares(_first_bytes(sample), script)
        evidence = Evidence(len(sample), shares, self._cld2.shares(sample, script), {})
        first, second = evidence.named
        if first == second and shares.get(first, 0) >= _CONVINCED and declared in ("", first):
            return evidence
        lags = self._profiles.lags(sample, script)
        return Evidence(len(sample), shares, evidence.cld2, lags)

    def _logits(self, evidence: Evidence, declared: str) -> dict[str, float]:
        """Return the log-linear score of the best languages of each engine, and the declared."""
        candidates = [*list(evidence.langid)[:2], *list(evidence.cld2)[:2]]
        candidates += list(evidence.profiles)[:3]
        if declared:
            candidates.append(declared)
        return {language: self._logit(evidence, language) for language in dict.fromkeys(candidates)}

    def _logit(self, evidence: Evidence, language: str) -> float:
        total = _CLD2 * evidence.cld2.get(language, 0.0)
        if language in self._langid.languages:
            total += _LANGID * math.log(max(evidence.langid.get(language, 0.0), _LANGID_FLOOR))
        else:
            total += _LANGID_UNKNOWN
        if language not in self._cld2.languages:
            total += _CLD2_UNKNOWN
        length = math.sqrt(min(evidence.characters, _PROFILE_SAMPLE) / 100)
        return total + _PROFILE * length * evidence.profiles.get(language, 0.0)

    def _overrules(
        self,
        evidence: Evidence,
        logits: dict[str, float],
        language: str,
        declared: str,
        script: str,
    ) -> bool:
        """Tell whether the text says `language` so clearly that the source must be wrong."""
        if are_related(language, declared):
            return False
        odds = logits[language] - logits[base_code(declared)]
        if odds < (_DECLARED if fits_script(declared, script) else _DECLARED_IN_OTHER_SCRIPT):
            return False
        return evidence.characters >= _LONG or self._agree_on(evidence, language)

    def _agree_on(self, evidence: Evidence, language: str) -> bool:
        """Tell whether an engine knows the language, and each that does named it first."""
        known = self._langid.languages, self._cld2.languages
        named = zip(known, evidence.named, strict=True)
        answers = [first == language for languages, first in named if language in languages]
        return bool(answers) and all(answers)


def _first_bytes(sample: str) -> str:
    return sample.encode("utf-8", "replace")[:_LANGID_BYTES].decode("utf-8", "ignore")


def probability(logits: dict[str, float], language: str) -> float:
    """Return the softmax share of one language, 0 for one that is not among them."""
    if language not in logits:
        return 0.0
    top = max(logits.values())
    return math.exp(logits[language] - top) / sum(math.exp(v - top) for v in logits.values())
