"""Taking a question out of an answer: labels, quotes, preamble, fences and JSON."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.synthesis.answers import Answer, parse_json, parse_plain, unlabelled
from curation.synthesis.languages import languages

PARAGRAPH = "The harbour company built the lighthouse of Dunwick in 1834, and its lamp still burns."


@pytest.mark.parametrize(
    ("content", "question"),
    [
        ("  Who built it?\n", "Who built it?"),
        ("1. Who built it?", "Who built it?"),
        ("12) Who built it?", "Who built it?"),
        ("- Who built it?", "Who built it?"),
        ("Question 1: Who built it?", "Who built it?"),
        ("q: Who built it?", "Who built it?"),
        ("**Question:** Who built it?", "Who built it?"),
        ("**Who built it?**", "Who built it?"),
        ("```\nWho built it?\n```", "Who built it?"),
        ("Sure! Here is one:\n\nWho built it?", "Who built it?"),
        ("<think>They ask\nfor one?</think>\nWho built it?", "Who built it?"),
        ('1. Question: "Who built it?"', "Who built it?"),
        ('"Utopia" was written by whom?', '"Utopia" was written by whom?'),
        ('Who wrote "Utopia"', 'Who wrote "Utopia"'),
        ('"Utopia" or "Ulysses"', '"Utopia" or "Ulysses"'),
        ("« Qui l'a construit ? »", "Qui l'a construit ?"),
        ("Frage 1: Wer hat ihn gebaut?", "Wer hat ihn gebaut?"),
        ("Pregunta: ¿Quién lo construyó?", "¿Quién lo construyó?"),
        ("¿Quién lo construyó?", "¿Quién lo construyó?"),
        ("Вопрос: Кто построил маяк?", "Кто построил маяк?"),
        ("Ερώτηση: Ποιος έχτισε τον φάρο;", "Ποιος έχτισε τον φάρο;"),
        ("السؤال: من بنى المنارة؟", "من بنى المنارة؟"),
        ("प्रश्न: प्रकाशस्तंभ किसने बनाया?", "प्रकाशस्तंभ किसने बनाया?"),
        ("১. প্রশ্ন: বাতিঘর কে তৈরি করেন?", "বাতিঘর কে তৈরি করেন?"),
        ("คำถาม: ใครสร้างประภาคาร", "ใครสร้างประภาคาร"),
        ("问题：谁建造了灯塔？", "谁建造了灯塔？"),
        ("質問：「灯台は誰が建てましたか。」", "灯台は誰が建てましたか。"),
        ("질문: 누가 등대를 지었는가?", "누가 등대를 지었는가?"),
        ("Who built \u200bit?", "Who built it?"),
        ("Who built it", "Who built it"),
        ("3.5 litres fill which bottle?", "3.5 litres fill which bottle?"),
        ("10:30 is the time of which train?", "10:30 is the time of which train?"),
        ("1834 was the year of what?", "1834 was the year of what?"),
        ("Quality: what is it?", "Quality: what is it?"),
        ("Questionable: what is it?", "Questionable: what is it?"),
        ("", ""),
        ('"“ \n', ""),
        ('"Who built it?', "Who built it?"),
    ],
)
def test_question_of_a_plain_answer(content: str, question: str) -> None:
    """Numbers, labels in any prompt language, emphasis and quotes around it all go."""
    assert parse_plain(Answer(content, "stop")).question == question


@pytest.mark.parametrize("code", sorted(languages()))
def test_each_label_of_each_language_goes(code: str) -> None:
    """Whatever the language asked, a model may label in any other."""
    for label in languages()[code].phrases.labels:
        for written in (f"{label}: X1", f"{label}：X1", f"{label} 2: X1", f"**{label}:** X1"):
            assert unlabelled(written) == "X1"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("Who built it?\nWhen was it built?", 2),
        ("1. ใครสร้างประภาคาร\n2. สร้างเมื่อใด\n3. สร้างที่ไหน", 3),
        ("Here you are:\nWho built it?", 1),
        ("Who built it?\n\n", 1),
    ],
    ids=["two", "thai-list", "preamble", "one"],
)
def test_lines_are_counted_without_preamble(content: str, lines: int) -> None:
    """A list is several questions even where none has a mark."""
    assert parse_plain(Answer(content, "stop")).lines == lines


@pytest.mark.parametrize(
    ("opener", "content", "reason", "mark", "question"),
    [
        ("Who", " built the lighthouse", "stop", "?", "Who built the lighthouse?"),
        ("Who", " built it?", "stop", "?", "Who built it?"),
        ("Who", " built the", "length", "?", "Who built the"),
        ("¿Quién", " construyó el faro", "stop", "?", "¿Quién construyó el faro?"),
        ("من", " بنى المنارة", "stop", "؟", "من بنى المنارة؟"),
        ("من", " بنى المنارة؟", "stop", "؟", "من بنى المنارة؟"),
        ("Ποιος", " έχτισε τον φάρο", "stop", ";", "Ποιος έχτισε τον φάρο;"),
        ("谁", "建造了灯塔", "stop", "？", "谁建造了灯塔？"),
        ("Who", " built it in 1834: ", "stop", "?", "Who built it in 1834?"),
    ],
    ids=["stopped", "mark", "cut", "spanish", "arabic", "arabic-mark", "greek", "han", "colon"],
)
def test_question_of_a_base_model(
    opener: str, content: str, reason: str, mark: str, question: str
) -> None:
    """The opener belongs to the question, and the mark that stopped the model is put back."""
    assert parse_plain(Answer(content, reason), opener, mark).question == question


@given(text=st.text(max_size=60))
@settings(deadline=None, max_examples=100)
def test_taking_a_question_out_twice_changes_nothing(text: str) -> None:
    """What is returned has no label left, is one line, and no input raises."""
    once = parse_plain(Answer(text, "stop")).question
    assert "\n" not in once
    if parse_plain(Answer(text, "stop")).lines == 1:
        assert parse_plain(Answer(once, "stop")).question == once


def fields(**changes: object) -> str:
    """Return a JSON answer."""
    whole = {
        "question": "Who built it?",
        "answer": "the harbour company",
        "evidence": "The harbour company built the lighthouse of Dunwick",
    }
    return json.dumps(whole | changes, ensure_ascii=False)


@pytest.mark.parametrize(
    "content",
    [
        fields(),
        f"```json\n{fields()}\n```",
        f"Of course:\n{fields()}\nDone.",
        fields(score=3, more={"a": [1]}),
        fields(evidence="  the HARBOUR company\n built the  lighthouse of dunwick. "),
        fields(evidence="“The harbour company built the lighthouse of Dunwick …”"),
        fields(question="Question: Who built it?"),
        f"<think>{{}}</think>{fields()}",
    ],
    ids=[
        "plain",
        "fenced",
        "words-around",
        "extra",
        "space-and-case",
        "quoted",
        "label",
        "thought",
    ],
)
def test_json_answers_that_are_understood(content: str) -> None:
    parsed = parse_json(Answer(content, "stop"), PARAGRAPH)
    assert (parsed.question, parsed.answer) == ("Who built it?", "the harbour company")
    assert parsed.problem is None


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("Who built it?", "no object"),
        ("", "no object"),
        ("null", "no object"),
        (fields()[:-9], "not JSON"),
        ("{'question': 'Who?'}", "not JSON"),
        ('{"a":' * 5000, "not JSON"),
        ('{"n": ' + "9" * 5000 + "}", "not JSON"),
        (f'{{"result": {fields()}}}', "no question"),
        (f"[{fields()}, {fields()}]", "several objects"),
        (fields(question=["Who?"]), "question is no text"),
        (fields(answer=1834), "answer is no text"),
        (fields(evidence=None), "evidence is no text"),
        ('{"question": "Who?", "answer": "x"}', "no evidence"),
    ],
    ids=[
        "text", "empty", "null", "truncated", "python", "deep", "digits", "nested", "two", "list",
        "number", "none", "missing",
    ],
)  # fmt: skip
def test_bad_json(content: str, value: str) -> None:
    """Each kind of damage is one reason, with a value that tells which."""
    assert parse_json(Answer(content, "stop"), PARAGRAPH).problem == ("bad_json", value)


@pytest.mark.parametrize("evidence", ["The company built a castle", "", "…", "lighthouse … lamp"])
def test_evidence_must_stand_in_the_paragraph(evidence: str) -> None:
    problem = parse_json(Answer(fields(evidence=evidence), "stop"), PARAGRAPH).problem
    assert problem == ("evidence_not_found", evidence)


def test_several_lines_in_a_json_field_are_several_questions() -> None:
    content = fields(question="1. ใครสร้าง\n2. สร้างเมื่อใด")
    assert parse_json(Answer(content, "stop"), PARAGRAPH).lines == 2


def test_evidence_in_scripts_without_spaces() -> None:
    content = fields(question="灯塔是谁建的？", evidence="港口公司于1834年建造了灯塔")
    parsed = parse_json(Answer(content, "stop"), "港口公司于1834年建造了灯塔，灯至今仍亮着。")
    assert (parsed.problem, parsed.question) == (None, "灯塔是谁建的？")


@given(text=st.text(alphabet='{}[]",:\\ua0eflnrstd \n', max_size=40))
@settings(deadline=None, max_examples=100)
def test_no_answer_raises(text: str) -> None:
    assert parse_json(Answer(text, "stop"), PARAGRAPH).problem


@pytest.mark.parametrize(
    ("opener", "content", "mark", "question", "reason"),
    [
        ("Who", " built the lighthouse", "?", "Who built the lighthouse?", ""),
        ("Who", " built it in the U.S.", "?", "Who built it in the U.S.?", ""),
        ("Who", " asked Dr. No", "?", "Who asked Dr. No?", ""),
        ("Who", " built it is told.", "?", "Who built it is told.", "not_a_question"),
        ("Деякі", " відомості про енергію.", "?", "Деякі відомості про енергію.", "not_a_question"),
        ("কে", " বাতিঘর তৈরি করেন।", "?", "কে বাতিঘর তৈরি করেন।", "not_a_question"),
        ("いつ", "から始まりましたか。", "？", "いつから始まりましたか。", ""),
        ("いつ", "から始まりましたか", "？", "いつから始まりましたか？", ""),
        ("いつ", "から始まった。", "？", "いつから始まった。", "not_a_question"),
        ("谁", "建造了灯塔。", "？", "谁建造了灯塔。", "not_a_question"),
    ],
    ids=["mark", "abbreviation", "title", "statement", "uk", "bn", "ja-ka", "ja", "ja-no", "zh"],
)
def test_mark_is_put_back_behind_questions_only(
    opener: str, content: str, mark: str, question: str, reason: str
) -> None:
    """A base model's line that ends in a full stop is a statement; an abbreviation's is none."""
    parsed = parse_plain(Answer(content, "stop"), opener, mark)
    assert parsed.question == question
    assert (parsed.problem or ("",))[0] == reason
