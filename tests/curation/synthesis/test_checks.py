"""Checks of answers: each reason has its case, and a good question passes them all."""

import json
from typing import Any

import pytest

from curation.language import LanguageDetector
from curation.records import Sample
from curation.synthesis import checks
from curation.synthesis.answers import Answer
from curation.synthesis.checks import Checked
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.question_language import script_for

PARAGRAPH = "The harbour company built the lighthouse of Dunwick in 1834, and its lamp still burns."
GOOD = "Which company was responsible for the lighthouse at Dunwick?"
GOODS = {
    "de": "Welche Gesellschaft ließ den Leuchtturm von Dunwick errichten?",
    "fr": "Quelle compagnie a fait construire le phare de Dunwick ?",
    "es": "¿Qué compañía mandó construir el faro de Dunwick?",
    "tr": "Dunwick deniz fenerini hangi şirket inşa ettirdi?",
    "vi": "Công ty nào đã xây dựng ngọn hải đăng Dunwick?",
    "ru": "Какая компания построила маяк в Данвиче?",
    "uk": "Яка компанія збудувала маяк у Данвічі?",
    "el": "Ποια εταιρεία έχτισε τον φάρο του Ντάνγουιτς;",
    "ar": "ما الشركة التي بنت منارة دانويتش القديمة؟",
    "fa": "کدام شرکت فانوس دریایی دانویچ را ساخت؟",
    "hi": "डनविच का प्रकाशस्तंभ किस कंपनी ने बनवाया था?",
    "mr": "डनविच येथील दीपगृह कोणत्या कंपनीने बांधले?",
    "bn": "ডানউইচের বাতিঘর কোন কোম্পানি নির্মাণ করেছিল?",
    "th": "บริษัทใดสร้างประภาคารแห่งดันวิช",
    "zh": "邓尼奇的灯塔是由哪家公司建造的？",
    "zh-Hant": "鄧尼奇的燈塔是由哪家公司建造的？",
    "ja": "ダンウィッチの灯台を建てたのはどの会社ですか。",
    "ko": "던위치의 등대는 어느 회사가 지었습니까?",
    "hy": "Ո՞ր ընկերությունն է կառուցել Դանվիչի փարոսը։",
}


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    """The language engines, loaded once."""
    return LanguageDetector()


def judge(
    content: str,
    detector: LanguageDetector,
    *,
    reason: str = "stop",
    paragraph: str = PARAGRAPH,
    language: str = "en",
    **options: Any,
) -> Checked:
    """Return the verdict on an answer about a paragraph."""
    sample = Sample("k", "d", "", language, "web", paragraph, 0, 0, 0.0, "p", "", "", [], "v")
    return checks.check(Answer(content, reason), sample, SynthesisConfig(**options), detector)


@pytest.mark.parametrize("language", sorted(GOODS))
def test_good_question_passes(language: str, detector: LanguageDetector) -> None:
    """A specific question in the right language has no reason against it."""
    checked = judge(GOODS[language], detector, language=language)
    assert (checked.question, checked.reason, checked.value) == (GOODS[language], "", "")
    assert checked.language_verdict == "ok"


@pytest.mark.parametrize(
    ("question", "options", "verdict"),
    [
        ("I'm sorry, but I cannot help.", {}, ("refused", "i m sorry")),
        ("I cannot tell you that, sorry.", {"language": "ja"}, ("refused", "i cannot")),
        ("抱歉，我无法回答。", {"language": "zh"}, ("refused", "抱歉")),
        (GOOD, {"reason": "refusal"}, ("refused", "refusal")),
        (GOOD, {"reason": "content_filter"}, ("refused", "content_filter")),
        (GOOD, {"reason": "length"}, ("truncated", "raise synthesis.max_output_tokens = 64")),
        ("Who was it", {}, ("too_short", "10 < 12")),
        ("누구인가", {"language": "ko"}, ("too_short", "4 < 6")),
        ("من هو؟", {"language": "ar"}, ("too_short", "6 < 9")),
        ("誰か？", {"language": "ja"}, ("too_short", "3 < 4")),
        ("1834 1835 1836 1837?", {}, ("too_short", "20 < 12")),
        ("", {}, ("too_short", "0 < 12")),
        (GOOD, {"max_question_characters": 59}, ("too_long", "60 > 59")),
        ("谁建造了这座灯塔？" * 2, {"language": "zh", "max_question_characters": 30}, "too_long"),
        ("Who built it? And when was that?", {}, ("multiple_questions", "2 questions")),
        ("1. Who built it?\n2. When did that happen?", {}, ("multiple_questions", "2 lines")),
        ("Which lamp lamp lamp lamp?", {}, ("repetitive", "a word 4 times")),
        ("What name is the tower given in the text?", {}, ("meta_reference", "the text")),
        ("When was it built by the company?", {}, ("unresolved_reference", "when was it")),
        ("Кто построил этот маяк?", {}, ("wrong_language", "Cyrillic")),
        ("Which company built it all?", {"language": "zh"}, ("wrong_language", "Latin")),
        ("Quelle compagnie a construit le grand phare du port ?", {}, ("wrong_language", "fr")),
        (
            "Who says the harbour company built the lighthouse of Dunwick?",
            {},
            ("copied", "0.84 > 0.6"),
        ),
    ],
    ids=[
        "refusal-words", "refusal-in-english", "refusal-chinese", "refusal", "filter", "length",
        "short", "short-korean", "short-arabic", "short-unspaced", "no-letters", "empty", "long",
        "long-chinese", "two", "lines", "repeated", "meta", "unresolved", "script",
        "script-latin", "language", "copied",
    ],
)  # fmt: skip
def test_each_reason(
    question: str, options: dict[str, Any], verdict: Any, detector: LanguageDetector
) -> None:
    """A bad answer is rejected with a stable reason and what decided it."""
    checked = judge(question, detector, **options)
    if isinstance(verdict, str):
        assert checked.reason == verdict
    else:
        assert (checked.reason, checked.value) == verdict


def test_three_repeats_are_allowed(detector: LanguageDetector) -> None:
    """A name may occur three times in a question."""
    question = "Which lamp, lamp of the lamp of old Dunwick, was lit by whom in the end?"
    assert judge(question, detector).reason == ""


def test_language_without_a_file_has_no_phrases(detector: LanguageDetector) -> None:
    """Only English refusals are known there; the other checks still hold."""
    assert judge("Nor can I say what that was", detector, language="xx").reason == ""
    assert judge("I cannot say what that was", detector, language="xx").reason == "refused"


@pytest.mark.parametrize(("share", "rejected"), [(0.0, True), (0.5, True), (1.0, False)])
def test_copied_share_is_an_option(
    share: float, rejected: bool, detector: LanguageDetector
) -> None:
    """A share of 1 switches the share off; 0 forbids five common words."""
    question = "Who built the lighthouse of Dunwick in 1834?"
    checked = judge(question, detector, max_copied_share=share)
    assert (checked.reason == "copied") is rejected


@pytest.mark.parametrize(("words", "reason"), [(6, "copied"), (7, "")])
def test_copied_words_are_an_option(words: int, reason: str, detector: LanguageDetector) -> None:
    question = (
        "In which decade, before the railway came to Suffolk, did they finish what "
        "built the lighthouse of Dunwick in 1834 for good?"
    )
    assert judge(question, detector, max_copied_words=words).reason == reason


@pytest.mark.parametrize(
    ("language", "paragraph", "question", "reason"),
    [
        ("zh", "港口公司于1834年建造了灯塔并使用至今。", "谁于1834年建造了灯塔并使用？", "copied"),
        ("zh", "港口公司于1834年建造了邓尼奇灯塔。", "邓尼奇灯塔是谁建造的？", ""),
        ("ja", "昔ダンウィッチ灯台を建てていた", "昔ダンウィッチ灯台を建てていたか", "copied"),
        ("ja", "会社がプリマスに灯台を建てた。", "プリマスはどこ？", ""),
        ("vi", "được đặt theo tên của ông", "Đại lộ Kearney được đặt theo tên của ai?", ""),
        ("de", "„Der Mann und die See in Ulm“", "Wer schrieb „Der Mann und die See in Ulm“?", ""),
        ("th", "บริษัทสร้างประภาคารแห่งดันวิชในปี", "บริษัทสร้างประภาคารแห่งดันวิชหรือ", "copied"),
        ("th", "บริษัทสร้างประภาคารแห่งดันวิช", "ประภาคารแห่งดันวิชคืออะไร", ""),
        ("en", "The Royal Society of Dunwick", "Who led the Royal Society of Dunwick", "copied"),
        ("en", "The Royal Society of Dunwick", "Who led Royal Society of Dunwick", ""),
    ],
)  # fmt: skip
def test_names_are_no_copies(
    language: str, paragraph: str, question: str, reason: str, detector: LanguageDetector
) -> None:
    """A share counts from five words on, or as many characters as five words have."""
    assert judge(question, detector, language=language, paragraph=paragraph).reason == reason


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("en", "Who wrote 'Utopia', or did nobody? Nobody knows."),
        ("en", 'Who wrote "Who Is Afraid of Virginia Woolf?" in 1962?'),
        ("en", "Who built the lighthouse?? "),
        ("de", "?Wann wurde der Hafen gebaut?"),
        ("en", "Which is older; the harbour or the lighthouse?"),
        ("el", "Ποιος έχτισε τον φάρο του Ντάνγουιτς;"),
        ("th", "ใครสร้างประภาคารแห่งดันวิช และสร้างในปีใด"),
        ("ja", "「誰ですか？」と聞いたのは誰ですか。"),
        ("zh", "《你是谁？》这部电影是谁拍的？"),
        ("hy", "Ո՞վ է կառուցել փարոսը և ե՞րբ։"),
    ],
)
def test_one_question_is_no_two(language: str, question: str) -> None:
    """Marks in titles, repeated marks and semicolons make no second question."""
    script = script_for(question, language)
    assert checks.several_questions(question, 1, script) is None


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("de", "Wer baute den Turm? Wann war das?"),
        ("ru", "Кто построил маяк? Когда это было?"),
        ("el", "Ποιος έχτισε τον φάρο; Πότε έγινε;"),
        ("ar", "من بناها؟ ومتى كان ذلك؟"),
        ("hi", "किसने बनाया? कब बनाया?"),
        ("bn", "কে তৈরি করেন? কবে তৈরি হয়?"),
        ("zh", "谁建造了灯塔？什么时候？"),
        ("ja", "誰が建てましたか。いつ建てましたか。"),
        ("ko", "누가 지었습니까? 언제 지었습니까?"),
        ("hy", "Ո՞վ է կառուցել փարոսը։ Ե՞րբ։"),
    ],
)
def test_two_questions_are_found_in_each_script(language: str, question: str) -> None:
    script = script_for(question, language)
    assert checks.several_questions(question, 1, script) == ("multiple_questions", "2 questions")


@pytest.mark.parametrize(
    ("question", "script", "most"),
    [
        ("Whose whose WHOSE lamp", "Latin", 3),
        ("the the the the the", "Latin", 0),
        ("किसने किसने किसने", "Devanagari", 3),
        ("灯台の灯灯台の灯", "Han", 2),
        ("灯台", "Han", 0),
        ("The theme of the theory of the then", "Thai", 0),
        ("", "Latin", 0),
    ],
)
def test_most_repeated(question: str, script: str, most: int) -> None:
    """Short words do not count; scripts without spaces are counted in fours."""
    assert checks.most_repeated(question, script) == most


def test_unsure_passes_and_is_told(detector: LanguageDetector) -> None:
    checked = judge("Qui est le roi ?", detector)
    assert (checked.reason, checked.language_verdict) == ("", "unsure")


def test_json_answers_are_checked_alike(detector: LanguageDetector) -> None:
    """Answer and evidence come along; a broken object or invented evidence is a reason."""
    said = {"question": GOOD, "answer": "the harbour company", "evidence": "its lamp still burns"}
    options: dict[str, Any] = {"answer": True, "max_output_tokens": 200}
    good = judge(json.dumps(said), detector, **options)
    assert (good.question, good.reason) == (GOOD, "")
    assert (good.answer, good.evidence) == ("the harbour company", "its lamp still burns")
    assert judge("{", detector, **options).reason == "bad_json"
    assert judge('{"question": ', detector, reason="length", **options).reason == "truncated"
    assert judge("I'm sorry, I cannot.", detector, **options).reason == "refused"
    invented = json.dumps(said | {"evidence": "its lamp is out"})
    assert judge(invented, detector, **options).reason == "evidence_not_found"
    meta = json.dumps(said | {"question": "What name is the tower given in the text?"})
    assert judge(meta, detector, **options).reason == "meta_reference"
