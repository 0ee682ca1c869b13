"""Names of namespaces, redirect words and kinds of pages in many languages."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from curation.sources import pagetypes, wikinames, wikitext
from curation.sources.wikitext import Block
from tests.builders import PARAGRAPH

FACTS = wikinames.data("mediawiki.toml")
LANGUAGES = sorted({*FACTS["files"], *FACTS["fallbacks"]})


def test_the_lists_cover_the_languages_of_wikipedia() -> None:
    """Own words for more than 250 languages, redirect words for more than 100."""
    assert len(FACTS["files"]) > 250
    assert len(FACTS["categories"]) > 250
    assert len(FACTS["redirects"]) > 100
    listed = {code for codes in FACTS["fallbacks"].values() for code in codes}
    known = {*FACTS["files"], *FACTS["categories"], *FACTS["redirects"], *FACTS["fallbacks"]}
    assert listed <= known


def test_every_language_drops_its_own_file_and_category_links() -> None:
    """For each language and name: the link leaves nothing, nor does the bare line."""
    for code in LANGUAGES:
        site = wikinames.site_for(code)
        for word in [*FACTS["files"].get(code, []), *FACTS["categories"].get(code, [])]:
            for name in (word, word.upper(), word.replace(" ", "_")):
                text = f"a [[{name}:X y|thumb|b [[c]]]] d\n[[{name}:X.jpg]]"
                assert [b.text for b in wikitext.parse(text, site)] == ["a d"], (code, name)


NAMES = {
    "uk": ("Файл", "Категорія"), "ja": ("ファイル", "カテゴリ"), "el": ("Αρχείο", "Κατηγορία"),
    "bn": ("চিত্র", "বিষয়শ্রেণী"), "mr": ("चित्र", "वर्ग"), "it": ("Immagine", "Categoria"),
    "ltg": ("Fails", "Kategoreja"), "zh": ("檔案", "分类"), "no": ("Fil", "Kategori"),
    "als": ("Datei", "Kategorie"), "sr": ("Датотека", "Категорија"), "ar": ("ملف", "تصنيف"),
    "be-x-old": ("Файл", "Катэгорыя"), "zh-yue": ("文件", "分類"), "he": ("קובץ", "קטגוריה"),
}  # fmt: skip


@pytest.mark.parametrize("code", NAMES)
def test_names_of_well_known_wikis(code: str) -> None:
    """Codes of wikis find the words of their language."""
    assert {wikinames.fold(name) for name in NAMES[code]} <= wikinames.site_for(
        code
    ).dropped_prefixes


REDIRECTS = {
    "#REDIRECT [[A b]]": "A b",
    "#redirect:[[A_b|c]]": "A b",
    " # Redirect  [[:A b]] {{R from move}}": "A b",
    "#ПЕРЕНАПРАВЛЕННЯ [[Київ]]": "Київ",
    "#перенаправление [[Москва#История]]": "Москва#История",
    "#転送 [[東京]]": "東京",
    "＃REDIRECT [[東京]]": "東京",
    "#পুনর্নির্দেশ [[ঢাকা]]": "ঢাকা",
    "#पुनर्निर्देशन [[पुणे]]": "पुणे",
    "#ΑΝΑΚΑΤΕΥΘΥΝΣΗ [[Αθήνα]]": "Αθήνα",
    "#RINVIA [[Roma]]": "Roma",
    "#WEITERLEITUNG [[Berlin]]": "Berlin",
    "#تحويل [[القاهرة]]": "القاهرة",
    "#REDIRECT A b": None,
    "# [[A b]]": None,
    "# Item [[A b]]": None,
    "#REDIRECTION": None,
    "A page about #REDIRECT [[A]]": None,
    "": None,
}


@pytest.mark.parametrize(("text", "target"), REDIRECTS.items(), ids=[f"<{t}>" for t in REDIRECTS])
def test_redirects_are_told_in_any_language(text: str, target: str | None) -> None:
    """The word of any language, then a link; a numbered list is none."""
    assert wikinames.redirect_target(text) == target


PAGES = {
    "en": ("{{disambiguation}}", "List of rivers"),
    "de": ("{{Begriffsklärung}}", "Liste der Flüsse"),
    "el": ("{{αποσαφήνιση}}", "Κατάλογος ποταμών"),
    "uk": ("{{ disambig }}", "Список річок"),
    "ja": ("{{aimai}}", "川の一覧"),
    "mr": ("{{निःसंदिग्धीकरण}}", "नद्यांची यादी"),
    "bn": ("{{দ্ব্যর্থতা নিরসন|x}}", "নদীর তালিকা"),
    "it": ("{{Disambigua}}", "Lista di fiumi"),
    "ltg": ("{{Zeimeibu škiršona}}", "Upu saroksts"),
}


@pytest.mark.parametrize("code", PAGES)
def test_lists_of_meanings_and_things_are_told(code: str) -> None:
    """By their template, and by their title; an article about rivers is neither."""
    site = wikinames.site_for(code)
    mark, title = PAGES[code]
    blocks = [Block("", 0, PARAGRAPH * 5)]
    assert pagetypes.reject_reason("X", f"x\n{mark}", blocks, site) == "disambiguation_page"
    assert pagetypes.reject_reason(title, PARAGRAPH, blocks, site) == "list_page"
    hatnote = "{{Otheruses}} {{Disambiguation needed}}"
    assert pagetypes.reject_reason("River", hatnote + PARAGRAPH, blocks, site) == ""


ITEMS = "".join(f"* [[Person {i}]], who was born here\n" for i in range(40))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{{{{Year}}}}\n== Births ==\n{ITEMS}", "list_page"),
        (f"A year.\n{ITEMS}", "list_page"),
        (f"{PARAGRAPH}\n{ITEMS}", ""),
        (f"A year.\n== References ==\n{ITEMS}", ""),
        (f"A year.\n{ITEMS.replace('*', ':')}", ""),
    ],
    ids=["items only", "a word before", "a paragraph before", "in the apparatus", "indented"],
)
def test_a_page_of_items_is_a_list(text: str, reason: str) -> None:
    """Nine tenths of the kept text in list items, and little beside them."""
    site = wikinames.site_for("en")
    assert pagetypes.reject_reason("1854", text, wikitext.parse(text, site), site) == reason


@pytest.mark.parametrize("name", ["mediawiki.toml", "wikitext.toml"])
def test_the_files_hold_no_empty_words(name: str) -> None:
    """An empty word would match everything."""
    text = files("curation.sources").joinpath(name).read_text(encoding="utf-8")

    def words(value: object) -> list[str]:
        if isinstance(value, dict):
            return [word for item in value.values() for word in words(item)]
        return [str(word) for word in value] if isinstance(value, list) else []

    found = words(tomllib.loads(text))
    assert len(found) > 500
    assert all(word.strip() for word in found)


TITLES = {
    "Talk:A": True,
    "user talk:B": True,
    "Wikipedia:C": True,
    "Star Trek: D": False,
    "E": False,
}


@pytest.mark.parametrize("title", TITLES)
def test_titles_outside_of_the_articles(title: str) -> None:
    """A prefix that names a namespace, in any case."""
    assert wikinames.in_namespace(title, wikinames.namespaces()) == TITLES[title]


def test_a_dump_names_its_own_namespaces() -> None:
    """What siteinfo lists counts next to the canonical names."""
    assert wikinames.in_namespace("Файл:X", wikinames.namespaces(frozenset({"Файл"})))
