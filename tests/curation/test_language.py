"""The language verdict: two engines, the script, and what the source declares."""

from __future__ import annotations

import concurrent.futures
import gzip
import itertools
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.language import LanguageDetector, Verdict
from curation.language_codes import fits_script
from curation.sources.raw import RawDocument
from tests.builders import PARAGRAPH, TOPICS

RUSSIAN = "Маяк был построен в конце девятнадцатого века и до сих пор освещает вход в гавань. " * 3
JAPANESE = "この灯台は十九世紀の終わりに建てられ、今でも港の入り口を照らしています。" * 3
CHINESE = "这座灯塔建于十九世纪末，至今仍照亮着港口的入口，守塔人每天晚上都爬上楼梯。" * 3
HINDI = "यह प्रकाशस्तंभ उन्नीसवीं सदी के अंत में बनाया गया था और आज भी बंदरगाह को रोशन करता है। " * 3
GREEK = "Ο φάρος χτίστηκε στα τέλη του δέκατου ένατου αιώνα και φωτίζει ακόμα το λιμάνι. " * 3
Shares = dict[str, float]
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


class Said(LanguageDetector):
    """The decision with the engines' answers given; it counts how often the profiles are asked."""

    def __init__(self, langid: Shares, cld2: Shares, lags: Shares) -> None:
        self._langid = Engine({"de", "nl", "it", "la", "hr", "sr"}, langid)
        self._cld2 = Engine({"de", "nl", "it", "fj", "el", "hr", "sr"}, cld2)
        self._profiles = Engine({"de", "nl", "bem"}, lags)


class Engine:
    def __init__(self, languages: set[str], said: Shares) -> None:
        self.languages = languages
        self.asked = 0
        self._said = said

    def shares(self, sample: str, script: str) -> Shares:
        self.asked += 1
        return self._said

    lags = shares


SURE, UNSURE, DUTCH = {"de": 0.95, "nl": 0.05}, {"de": 0.6, "nl": 0.4}, {"nl": 0.9, "de": 0.1}
DECISIONS = {
    "agree": (SURE, {"de": 1.0}, {}, None, "de", True),
    "the profile decides": (UNSURE, {"nl": 0.5}, {"nl": 0, "de": -0.2}, None, "nl", False),
    "only CLD2 knows it": (UNSURE, {"fj": 0.97}, {}, None, "fj", True),
    "only py3langid knows it": ({"la": 0.9, "it": 0.1}, {"it": 0.3}, {}, None, "la", True),
    "only the profile knows it": (UNSURE, {"nl": 0.4}, {"bem": 0, "nl": -0.4, "de": -0.5}, None,
                                  "bem", False),
    "declared and named": (UNSURE, {"nl": 0.6}, {}, "de-AT", "de-AT", False),
    "declared against both, sure": (SURE, {"de": 1.0}, {"de": 0, "nl": -0.3}, "nl", "de", True),
    "declared against both, unsure": (UNSURE, {"de": 0.5}, {"nl": 0}, "nl", "nl", False),
    "declared against one": (UNSURE, {"it": 1.0}, {"de": 0, "nl": -0.1}, "nl", "nl", False),
    "declared against two opinions": (SURE, {"it": 1.0}, {"de": 0, "nl": -0.9}, "nl", "de", False),
    "declared and not named": (UNSURE, {"de": 0.8}, {"de": 0}, "it", "de", True),
    "declared a relative": ({"hr": 0.99, "sr": 0.01}, {"hr": 1.0}, {}, "sr", "sr", False),
    "declared and of the profiles": (UNSURE, {"nl": 0.4}, {"bem": 0}, "bem", "bem", False),
    "declared and unknown": (SURE, {"de": 1.0}, {"de": 0}, "zz", "zz", False),
    "nothing fits the script": ({}, {}, {}, None, "und", False),
}  # fmt: skip


@pytest.mark.parametrize(
    ("langid", "cld2", "lags", "declared", "language", "agreement"),
    DECISIONS.values(),
    ids=DECISIONS,
)
def test_the_decision(
    langid: Shares, cld2: Shares, lags: Shares, declared: str | None, language: str, agreement: bool
) -> None:
    """Who wins when the engines, the profiles and the source differ."""
    verdict = Said(langid, cld2, lags).detect("ein Text " * 20, declared)
    assert (verdict.language, verdict.agreement, verdict.script) == (language, agreement, "Latin")
    assert 0 <= verdict.score <= 1


@pytest.mark.parametrize(("cld2", "language"), [({"de": 1.0}, "de"), ({"it": 1.0}, "nl")])
def test_the_source_is_overruled_on_a_short_text_by_agreement_only(
    cld2: Shares, language: str
) -> None:
    """A line of text is not enough for one engine's word against the source's."""
    detector = Said(SURE, cld2, {"de": 0, "nl": -1.5})
    assert detector.detect("ein Text " * 10, "nl").language == language


@pytest.mark.parametrize(("declared", "language"), [("fj", "fj"), ("el", "de")])
def test_another_script_weakens_the_source(declared: str, language: str) -> None:
    """Greek is not written in Latin letters, so a small lead is enough; Fijian is."""
    detector = Said(SURE, {"nl": 0.1}, {"de": 0})
    assert detector.detect("ein Text " * 20, declared).language == language


def test_an_unknown_declared_language_has_no_score() -> None:
    """Nothing was said about it, so nothing is claimed."""
    assert Said(SURE, {"de": 1.0}, {}).detect("ein Text", "zz").score == 0


def test_a_declared_language_that_does_not_fit_scores_low() -> None:
    """The score is what the text says, not what the source says."""
    detector = Said(UNSURE, {"de": 0.5}, {"de": 0, "nl": -0.3})
    assert detector.detect("ein Text " * 20, "nl").score < 0.2 < 0.8
    assert detector.detect("ein Text " * 20).score > 0.8


@pytest.mark.parametrize(
    ("langid", "cld2", "declared", "asked"),
    [(SURE, {"de": 1.0}, None, 0), (SURE, {"de": 1.0}, "de", 0), (SURE, {"de": 1.0}, "nl", 1),
     (UNSURE, {"de": 1.0}, None, 1), (SURE, {"nl": 1.0}, None, 1), (SURE, {}, None, 1)],
    ids=["agree", "agree with the source", "against the source", "unsure", "differ", "one silent"],
)  # fmt: skip
def test_profiles_are_asked_in_doubt_only(
    langid: Shares, cld2: Shares, declared: str | None, asked: int
) -> None:
    """Three quarters of all texts need two engines."""
    detector = Said(langid, cld2, {})
    detector.detect("ein Text", declared)
    assert detector._profiles.asked == asked  # type: ignore[attr-defined]


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
    """No engine draws at random."""
    text = "Det er en gammel by ved havet med mange huse og en kirke"
    assert len({detector.detect(text) for _ in range(4)}) == 1


def test_threads_may_build_and_ask_at_once() -> None:
    """Nothing is loaded on first use by one thread while another asks."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(lambda: LanguageDetector().detect(JAPANESE)) for _ in range(2)]
        assert {future.result().language for future in futures} == {"ja"}


@pytest.mark.parametrize(
    ("language", "known"),
    [("en", True), ("zh-TW", True), ("la", True), ("fj", True), ("bem", True), ("zz", False)],
)
def test_knows(detector: LanguageDetector, language: str, known: bool) -> None:
    """A language of an engine or a profile, whatever its region."""
    assert detector.knows(language) is known


NTREX = {
    "deu": "de", "rus": "ru", "jpn": "ja", "tha": "th", "swa": "sw", "eus": "eu", "ckb-Arab": "ckb",
    "mri": "mi", "ewe": "ee", "bem": "bem", "tir": "ti", "snd-Arab": "sd", "yue": "yue",
    "kmr": "ku", "fuc": "ff", "ven": "ve", "tuk": "tk", "bod": "bo", "dzo": "dz", "srp-Cyrl": "sr",
    "arb": "ar", "uzb": "uz", "aze-Latn": "az", "pan": "pa", "hmn": "hmn", "wol": "wo", "ukr": "uk",
    "ben": "bn",
}  # fmt: skip


@pytest.fixture(scope="module")
def ntrex(real_data: Path) -> dict[str, list[str]]:
    """Language → the first lines of its translation."""
    found = {}
    with tarfile.open(real_data / "parallel" / "NTREX-128.tar.xz") as archive:
        for member in archive:
            code = Path(member.name).name.removeprefix("newstest2019-ref.").removesuffix(".txt")
            if code in NTREX:
                lines = archive.extractfile(member).read().decode().splitlines()  # type: ignore[union-attr]
                found[NTREX[code]] = lines[:40]
    return found


def test_real_translations_are_recognised(
    detector: LanguageDetector, ntrex: dict[str, list[str]]
) -> None:
    """Forty lines of each of 28 languages get their language, declared or not."""
    assert len(ntrex) == len(NTREX)
    for language, lines in ntrex.items():
        assert detector.detect(" ".join(lines)).language == language
        assert detector.detect(" ".join(lines), language).agreement or language in {"ee", "bem"}


def test_documents_in_the_wrong_folder_are_found(
    detector: LanguageDetector, ntrex: dict[str, list[str]]
) -> None:
    """Each text declared to be Bengali, Russian or German comes out as what it is."""
    for declared in ("bn", "ru", "de"):
        for language, lines in ntrex.items():
            verdict = detector.detect(" ".join(lines), declared)
            assert verdict.language == language, (declared, verdict)


def test_latgalian_stays_latgalian(detector: LanguageDetector, real_data: Path) -> None:
    """A third of the Latgalian Wikipedia, as its dump declares it."""
    from curation.sources.wikipedia import read_articles

    with gzip.open(real_data / "wikipedia" / "ltgwiki-20180101-pages-articles.xml.gz") as dump:
        articles = itertools.islice(read_articles(dump, "wikipedia", None), 350)
        pages = [page for page in articles if isinstance(page, RawDocument)]
    bodies = [" ".join(section.text for section in page.sections) for page in pages]
    verdicts = [
        (len(body), detector.detect(body, page.language))
        for body, page in zip(bodies, pages, strict=True)
    ]
    long = [verdict for length, verdict in verdicts if length >= 300]
    others = [verdict for verdict in long if verdict.language != "ltg"]
    assert len(others) <= 1  # a stub on a Lithuanian town that quotes more than it says
    assert sum(verdict.score > 0.5 for verdict in long) > 0.98 * len(long) > 150
