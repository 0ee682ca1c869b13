"""The language verdict: two engines, the script, and what the source declares."""

from __future__ import annotations

import concurrent.futures
import tarfile
from pathlib import Path

import langdetect
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.language import LanguageDetector, Verdict, base_code, fits_script
from tests.builders import PARAGRAPH, TOPICS

RUSSIAN = "Маяк был построен в конце девятнадцатого века и до сих пор освещает вход в гавань. " * 3
JAPANESE = "この灯台は十九世紀の終わりに建てられ、今でも港の入り口を照らしています。" * 3
CHINESE = "这座灯塔建于十九世纪末，至今仍照亮着港口的入口，守塔人每天晚上都爬上楼梯。" * 3
HINDI = "यह प्रकाशस्तंभ उन्नीसवीं सदी के अंत में बनाया गया था और आज भी बंदरगाह को रोशन करता है। " * 3
GREEK = "Ο φάρος χτίστηκε στα τέλη του δέκατου ένατου αιώνα και φωτίζει ακόμα το λιμάνι. " * 3
TEXTS = {
    "en": PARAGRAPH * 2,
    "fr": TOPICS["fr"].format("Belhaven", 1802),
    "es": TOPICS["es"].format("Belhaven", 1802),
    "ru": RUSSIAN,
    "ja": JAPANESE,
    "zh": CHINESE,
    "hi": HINDI,
    "el": GREEK,
}


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    return LanguageDetector()


@pytest.mark.parametrize("language", TEXTS)
def test_both_engines_agree_on_prose(detector: LanguageDetector, language: str) -> None:
    """Undeclared text is recognised, with a high score."""
    verdict = detector.detect(TEXTS[language])
    assert (verdict.language, verdict.agreement) == (language, True)
    assert 0.8 < verdict.score <= 1.0 + 1e-9


@pytest.mark.parametrize("language", TEXTS)
def test_a_true_declaration_is_kept_as_written(detector: LanguageDetector, language: str) -> None:
    """The source's own code, with its region, is the verdict."""
    declared = f"{language}-XX"
    verdict = detector.detect(TEXTS[language], declared)
    assert (verdict.language, verdict.agreement) == (declared, True)


def test_a_false_declaration_is_overruled(detector: LanguageDetector) -> None:
    """Both engines agree and are sure: the source is wrong."""
    verdict = detector.detect(TEXTS["fr"], "es")
    assert (verdict.language, verdict.agreement, verdict.script) == ("fr", True, "Latin")


def test_a_declaration_is_kept_where_the_engines_are_unsure(detector: LanguageDetector) -> None:
    """A short text proves nothing against the source; the score tells how little it fits."""
    verdict = detector.detect("Hotel Radio Taxi", "nl")
    assert (verdict.language, verdict.agreement) == ("nl", False)
    assert verdict.score < 0.9


class Engines(LanguageDetector):
    """The decision with the engines' answers given."""

    def __init__(
        self, real: LanguageDetector, ranked: list[tuple[str, float]], second: str
    ) -> None:
        vars(self).update(vars(real))  # loading the models again costs a second
        self._answers = ranked, second

    def _ranked(self, sample: str, script: str) -> list[tuple[str, float]]:
        return self._answers[0]

    def _second(self, sample: str) -> str:
        return self._answers[1]


SURE, UNSURE = [("de", 0.95), ("nl", 0.05)], [("de", 0.6), ("nl", 0.4)]
DECISIONS = {
    "agree": (SURE, "de", None, ("de", 0.95, True)),
    "disagree": (SURE, "nl", None, ("de", 0.95, False)),
    "declared is the first": (UNSURE, "nl", "de", ("de", 0.6, True)),
    "declared is the second": (SURE, "nl", "nl", ("nl", 0.05, False)),
    "declared against both, sure": (SURE, "de", "nl", ("de", 0.95, True)),
    "declared against both, unsure": (UNSURE, "de", "nl", ("nl", 0.4, False)),
    "declared against two opinions": (SURE, "fr", "nl", ("nl", 0.05, False)),
    "declared and not ranked": (UNSURE, "de", "it", ("it", 0.0, False)),
    "declared and unknown": (SURE, "de", "zz", ("zz", 0.0, False)),
    "nothing fits the script": ([], "und", None, ("und", 0.0, True)),
    "the second does not know it": ([("la", 0.95)], "es", None, ("la", 0.95, True)),
}


@pytest.mark.parametrize(
    ("ranked", "second", "declared", "expected"), DECISIONS.values(), ids=DECISIONS
)
def test_the_decision(
    detector: LanguageDetector,
    ranked: list[tuple[str, float]],
    second: str,
    declared: str | None,
    expected: tuple[str, float, bool],
) -> None:
    """Who wins when the engines and the source differ."""
    verdict = Engines(detector, ranked, second).detect("ein Text", declared)
    assert verdict == Verdict(*expected, "Latin")


@pytest.mark.parametrize("text", ["", "  \n", "123 456", "!?…", "\x00\ud800"])
@pytest.mark.parametrize(("declared", "expected"), [(None, "und"), ("de", "de")])
def test_without_letters_there_is_no_verdict(
    detector: LanguageDetector, text: str, declared: str | None, expected: str
) -> None:
    """The declaration stands, at score 0."""
    assert detector.detect(text, declared) == Verdict(expected, 0.0, False, "")


@given(text=st.text(max_size=60), declared=st.none() | st.sampled_from(["en", "zh_Hant", "zz"]))
@settings(deadline=None, max_examples=60)
def test_any_text_has_a_verdict(
    detector: LanguageDetector, text: str, declared: str | None
) -> None:
    """Nothing raises, scores are shares, and no undeclared verdict defies the script."""
    verdict = detector.detect(text, declared)
    assert 0 <= verdict.score <= 1 + 1e-9
    assert declared is not None or fits_script(verdict.language, verdict.script)


def test_only_the_beginning_is_read(detector: LanguageDetector) -> None:
    """A megabyte of another language behind the sample changes nothing."""
    text = (PARAGRAPH * 10)[:1000]
    assert detector.detect(text + RUSSIAN * 5000) == detector.detect(text)


def test_the_verdict_repeats(detector: LanguageDetector) -> None:
    """The second engine draws at random; its seed is fixed."""
    text = "Det er en gammel by ved havet med mange huse og en kirke"
    assert len({detector.detect(text) for _ in range(4)}) == 1


def test_threads_may_build_and_ask_at_once() -> None:
    """The second engine's lazy load is no race."""
    langdetect.detector_factory._factory = None
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(lambda: LanguageDetector().detect(JAPANESE)) for _ in range(2)]
        assert {future.result().language for future in futures} == {"ja"}


@pytest.mark.parametrize(
    ("language", "base"),
    [
        ("en", "en"),
        ("zh-cn", "zh"),
        ("zh_Hant", "zh"),
        ("PT-BR", "pt"),
        ("nb", "no"),
        ("iw", "he"),
        ("simple", "en"),
        ("fil", "tl"),
        ("", ""),
    ],
)
def test_base_code(language: str, base: str) -> None:
    """Script, region and older codes go."""
    assert base_code(language) == base


@pytest.mark.parametrize(
    ("language", "script", "fits"),
    [
        ("ja", "Hiragana", True),
        ("ja", "Han", True),
        ("zh-Hant", "Han", True),
        ("zh", "Hiragana", False),
        ("en", "Cyrillic", False),
        ("sr", "Latin", True),
        ("sr", "Cyrillic", True),
        ("el", "Latin", False),
        ("simple", "Latin", True),
        ("zz", "Thai", True),
        ("en", "", True),
    ],
)
def test_fits_script(language: str, script: str, fits: bool) -> None:
    """A known language fits its scripts; unknown languages and texts without letters fit any."""
    assert fits_script(language, script) is fits


@pytest.mark.parametrize(
    ("language", "known"), [("en", True), ("zh-TW", True), ("la", True), ("zz", False)]
)
def test_knows(detector: LanguageDetector, language: str, known: bool) -> None:
    """A language of either engine, whatever its region."""
    assert detector.knows(language) is known


def test_real_translations_are_recognised(detector: LanguageDetector, real_data: Path) -> None:
    """Forty lines of NTREX in each of six languages get their language."""
    names = {"deu": "de", "rus": "ru", "jpn": "ja", "tha": "th", "swa": "sw", "eus": "eu"}
    with tarfile.open(real_data / "parallel" / "NTREX-128.tar.xz") as archive:
        for member in archive:
            code = Path(member.name).name.removeprefix("newstest2019-ref.").removesuffix(".txt")
            if names.get(code):
                lines = archive.extractfile(member).read().decode().splitlines()  # type: ignore[union-attr]
                assert detector.detect(" ".join(lines[:40])).language == names.pop(code)
    assert names == {}
