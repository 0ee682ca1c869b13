"""Phrases: found as whole words in every script, and not where they are names."""

import pytest

from curation.synthesis import wording
from curation.synthesis.checks import meta_reference, unresolved_reference
from curation.synthesis.languages import language_for, languages


def phrases_of(code: str):
    language = language_for(code)
    assert language
    return language.phrases


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("en", "According to the text, who built the lighthouse?"),
        ("en", "What does this article say about Dunwick?"),
        ("en", "WHO BUILT THE TOWER MENTIONED IN THE PASSAGE?"),
        ("de", "Wer baute laut dem Text den Leuchtturm?"),
        ("de", "Was ist das Hauptthema dieses Artikels?"),
        ("fr", "Selon l'article, qui a construit le phare ?"),
        ("es", "Según el texto, ¿quién construyó el faro?"),
        ("it", "Secondo l'autore, chi costruì il faro?"),
        ("it", "Che cosa si legge nell’articolo sul faro?"),
        ("pt", "De acordo com o texto, quem construiu o farol?"),
        ("ro", "Potrivit textului, cine a construit farul?"),
        ("nl", "Wie bouwde volgens de tekst de vuurtoren?"),
        ("pl", "Kto według tekstu zbudował latarnię?"),
        ("sv", "Vem byggde fyren enligt texten?"),
        ("cs", "Kdo podle textu postavil maják?"),
        ("tr", "Metne göre feneri kim yaptı?"),
        ("vi", "Theo văn bản, ai đã xây ngọn hải đăng?"),
        ("id", "Menurut teks tersebut, siapa yang membangun mercusuar?"),
        ("sw", "Kulingana na makala, nani alijenga mnara?"),
        ("ru", "Кто, согласно тексту, построил маяк?"),
        ("uk", "Хто, згідно з текстом, збудував маяк?"),
        ("bg", "Според текста кой е построил фара?"),
        ("el", "Σύμφωνα με το κείμενο, ποιος έχτισε τον φάρο;"),
        ("ar", "وفقًا للنص، من بنى المنارة؟"),
        ("fa", "طبق متن، چه کسی فانوس را ساخت؟"),
        ("hi", "पाठ के अनुसार प्रकाशस्तंभ किसने बनवाया?"),
        ("mr", "मजकुरानुसार दीपगृह कोणी बांधले?"),
        ("bn", "এই লেখা অনুযায়ী বাতিঘর কে তৈরি করেন?"),
        ("th", "ตามข้อความ ใครสร้างประภาคาร"),
        ("zh", "根据文章，谁建造了灯塔？"),
        ("zh-Hant", "根據文章，誰建造了燈塔？"),
        ("ja", "この文章によると、灯台を建てたのは誰ですか。"),
        ("ko", "본문에 따르면 등대는 누가 지었습니까?"),
    ],
)
def test_meta_reference(language: str, question: str) -> None:
    problem = meta_reference(question, phrases_of(language))
    assert problem
    assert problem[0] == "meta_reference"
    assert problem[1]


def test_every_language_has_a_meta_test() -> None:
    """A new prompt file needs a sentence above."""
    marks = test_meta_reference.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {language for language, _ in marks} == set(languages())


@pytest.mark.parametrize(
    ("language", "question", "phrase"),
    [
        ("en", "It was built in which year?", "it"),
        ("en", "Why was he chosen as king of Suffolk?", "why was he"),
        ("en", "What does the author think of the harbour?", "the author"),
        ("de", "Was meint der Autor über den Hafen?", "der autor"),
        ("de", "Wann wurde er König von Suffolk?", "wann wurde er"),
        ("fr", "Elle fut construite en quelle année ?", "elle"),
        ("fr", "Que pense l'auteur sur le port ?", "l auteur"),
        ("es", "¿Qué es esto?", "qué es esto"),
        ("ru", "Когда он стал королём?", "когда он"),
        ("uk", "Це було збудовано коли?", "це"),
        ("el", "Αυτός πότε έγινε βασιλιάς;", "αυτός"),
        ("ar", "هو ملك أي بلد؟", "هو"),
        ("hi", "यह कब बनाया गया था?", "यह"),
        ("bn", "এটি কবে তৈরি হয়েছিল?", "এটি"),
        ("mr", "त्याने काय बांधले?", "त्याने"),
        ("th", "เขาเกิดเมื่อใด", "เขาเกิด"),
        ("zh", "他什么时候成为国王？", "他什么"),
        ("ja", "これはいつ建てられましたか。", "これは"),
        ("ko", "그는 언제 왕이 되었습니까?", "그는"),
        ("tr", "Bu ne zaman yapıldı?", "bu"),
        ("vi", "Ông ấy sinh năm nào?", "ông ấy"),
    ],
)
def test_unresolved_reference(language: str, question: str, phrase: str) -> None:
    wanted = ("unresolved_reference", wording.fold(phrase))
    assert unresolved_reference(question, phrases_of(language)) == wanted


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("en", "Who sang The Author's Farewell in Dunwick?"),
        ("en", 'Who sang "the author is dead" in Dunwick?'),
        ("en", "Who is the author of Utopia?"),
        ("en", "What does the article 5 of the treaty forbid?"),
        ("en", "Which page did the context of the harbour fill?"),
        ("en", "Which textile came to Dunwick the following year?"),
        ("en", "Who led the passage of the Reform Bill?"),
        ("en", "What does it mean to be on parole?"),
        ("en", "Itsekiri is spoken in which country?"),
        ("en", "Which census was taken according to the law of 1834?"),
        ("de", "Was garantiert der Artikel 5 des Grundgesetzes?"),
        ("de", "Wer ist der Autor von „Die Verwandlung“?"),
        ("de", "Wann wurde das Leuchtfeuer von Dunwick gelöscht?"),
        ("de", "Was war das Ergebnis der Wahl in Dunwick?"),
        ("hi", "वह प्रक्रिया क्या है जिससे नमक बनता है?"),
        ("hi", "यह तथ्य कि नमक घुलता है किसने दिखाया?"),
        ("ro", "Cine a fost autorul lucrării Istoria ieroglifică?"),
        ("de", "Welche Texte schrieb Luther in Worms?"),
        ("de", "Was steht im Artikel 5 des Grundgesetzes?"),
        ("fr", "Qui est l'auteur de Germinal ?"),
        ("fr", "Que garantit l'article 16 de la Déclaration ?"),
        ("fr", "Quelle industrie textile fit vivre Roubaix ?"),
        ("es", "¿Quién es el autor del Quijote?"),
        ("it", "Chi è l'autore della Divina Commedia?"),
        ("ru", "Кто автор романа «Это было в тексте»?"),
        ("ru", "Какой контекст имела реформа Столыпина?"),
        ("el", "Ποιος είναι ο συγγραφέας του Ζορμπά;"),
        ("ar", "من مؤلف كتاب كليلة ودمنة؟"),
        ("ar", "أي الجسور بقي إلى يومنا هذا؟"),
        ("ar", "ما النصاب اللازم لانتخاب الرئيس؟"),
        ("hi", "पाठशाला किसने बनवाई?"),
        ("bn", "লেখাপড়া কোথায় শিখেছিলেন রবীন্দ্রনাথ?"),
        ("mr", "हेमाडपंती मंदिर कोणी बांधले?"),
        ("th", "เขาใหญ่อยู่ในจังหวัดใด"),
        ("th", "ใครเป็นผู้เขียนพระอภัยมณี"),
        ("zh", "日本文化节在哪里举行？"),
        ("zh-Hant", "日本文學的代表作家是誰？"),
        ("ja", "日本文学で白樺派が誕生したのはいつ"),
        ("zh", "《本文》杂志是谁创办的？"),
        ("zh", "他山石出自哪本书？"),
        ("ja", "著者が夏目漱石である小説は何ですか。"),
        ("ko", "그는개라는 낱말의 뜻은 무엇입니까?"),
        ("tr", "Burdur hangi bölgededir?"),
        ("vi", "Ai là tác giả của Truyện Kiều?"),
    ],
)
def test_names_and_longer_words_are_no_reference(language: str, question: str) -> None:
    """Titles, "the author of", articles of law and words that only begin alike all pass."""
    phrases = phrases_of(language)
    assert meta_reference(question, phrases) is None
    assert unresolved_reference(question, phrases) is None


@pytest.mark.parametrize(
    ("text", "patterns", "found"),
    [
        ("one two three", ["two three"], "two three"),
        ("one two three", ["^two"], ""),
        ("one two three", ["^one two|four"], "one two"),
        ("one two three", ["two$"], ""),
        ("one two three", ["three$"], "three"),
        ("one twofold three", ["two"], ""),
        ("one twofold three", ["two* three"], "twofold three"),
        ("one, «two» three?", ["one three"], ""),
        ("l'article", ["l'article"], "l article"),
        ("İstanbul", ["istanbul"], "istanbul"),
        ("STRASSE", ["straße"], "strasse"),
        ("می\u200cرود", ["میرود"], "میرود"),
        ("谁说本文长？", ["本文"], "本文"),
        ("本文", ["^本文$"], "本文"),
        ("any", [], ""),
        ("", ["any"], ""),
    ],
)
def test_patterns(text: str, patterns: list[str], found: str) -> None:
    assert wording.find(text, patterns) == found


@pytest.mark.parametrize("code", sorted(languages()))
def test_patterns_of_files_are_in_their_script_and_match_themselves(code: str) -> None:
    """Each alternative of each pattern is found in a text that says just that."""
    phrases = phrases_of(code)
    for listed in (phrases.meta, phrases.unresolved, phrases.refusals):
        for pattern in listed:
            said = " ".join(word.split("|")[-1] for word in pattern.strip("^$").split())
            said = said.replace("_", " ")
            assert wording.find(said.replace("*", "x"), [pattern], None, True), pattern
    assert all(word == wording.fold(word) for word in phrases.resolved)


@pytest.mark.parametrize("code", sorted(languages()))
def test_refusals_are_found_at_the_start_only(code: str) -> None:
    for pattern in phrases_of(code).refusals:
        first = " ".join(word.split("|")[0] for word in pattern.split()).replace("_", " ")
        assert wording.starts_with(f"{first}, x", [pattern])
        assert not wording.starts_with(f"x, {first}", [pattern])
