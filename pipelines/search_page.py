"""The search page: plain HTML, no script; whatever comes from documents or queries is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from mining.explain import Span
from pipelines.report.markup import escape, number
from pipelines.report.style import STYLE
from pipelines.searching import Answer, Result

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEAD_WIDTH = 120  # characters of a text shown without its title
_STYLE = """\
form.ask{display:flex;flex-wrap:wrap;gap:8px;margin:20px 0 4px}
form.ask input[type=search]{flex:1 1 320px;font:inherit;font-size:17px;padding:9px 12px;
border:1px solid var(--line);border-radius:8px;background:var(--paper);color:inherit;min-width:0}
form.ask select,form.ask button{font:inherit;padding:9px 12px;border:1px solid var(--line);
border-radius:8px;background:var(--tint);color:inherit}
form.ask button{background:var(--accent);border-color:var(--accent);color:var(--paper);
font-weight:600;cursor:pointer}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
main{max-width:860px}
.note a{color:inherit}
ol.found{list-style:none;margin:24px 0 0;padding:0}
ol.found>li{border-top:1px solid var(--line);padding:18px 0 16px}
.found h2{font-size:17px;margin:0 0 2px;overflow-wrap:anywhere}
.found .meta{color:var(--soft);font-size:13px;margin:0 0 6px;overflow-wrap:anywhere}
.found .text{margin:0 0 8px;white-space:pre-line;overflow-wrap:anywhere}
mark{background:color-mix(in srgb,var(--accent) 22%,transparent);color:inherit;border-radius:3px;
padding:0 1px}
.found details,.found details:last-of-type{border:0}
.found summary{padding:0;font-weight:400;color:var(--soft);font-size:13px}
.why{display:grid;grid-template-columns:minmax(150px,1fr) 2fr;gap:8px 28px;padding:10px 0 4px}
.why table{font-size:13px}.why td{padding:4px 12px 4px 0}
.error{border:1px solid #b3261e;border-radius:8px;padding:10px 14px;margin:20px 0;
overflow-wrap:anywhere}
@media(max-width:560px){.why{grid-template-columns:1fr}}
"""


def page(
    languages: Mapping[str, int],
    passages: int,
    modes: Sequence[str],
    asked: Mapping[str, str],
    answer: Answer | None = None,
    error: str = "",
) -> str:
    """Return the page with its form and, after a question, its results or what was wrong."""
    query = asked.get("query", "")
    title = f"{query} · search" if query else "Search"
    body = _form(languages, modes, asked)
    if error:
        body += f'<p class="error" role="alert">{escape(error)}</p>'
    elif answer is None:
        body += f'<p class="note">{number(passages)} passages. {_counted(languages)}</p>'
    else:
        body += _answer(answer)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}{_STYLE}</style></head>"
        f"<body><main><h1>Search</h1>{body}</main></body></html>\n"
    )


def _counted(languages: Mapping[str, int]) -> str:
    return escape(", ".join(f"{name} {number(count)}" for name, count in languages.items()))


def _form(languages: Mapping[str, int], modes: Sequence[str], asked: Mapping[str, str]) -> str:
    named = {"": "any language"} | {name: name for name in languages}
    return (
        '<form class="ask" role="search" method="get" action="/">'
        '<input type="search" name="q" dir="auto" required autofocus aria-label="Query" '
        f'placeholder="Ask in any language" value="{escape(asked.get("query", ""))}">'
        + _select("mode", "How to search", {mode: mode for mode in modes}, asked.get("mode", ""))
        + _select("language", "Language of passages", named, asked.get("language", ""))
        + "<button>Search</button></form>"
    )


def _select(name: str, label: str, options: Mapping[str, str], chosen: str) -> str:
    listed = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>'
        f"{escape(shown)}</option>"
        for value, shown in options.items()
    )
    return f'<select name="{name}" aria-label="{label}">{listed}</select>'


def _answer(answer: Answer) -> str:
    question = answer.question
    link = "/api/search?" + urlencode(
        {
            "q": question.query,
            "mode": question.mode,
            "language": question.language,
            "top": question.top,
        }
    )
    found = "".join(map(_result, answer.results))
    count = len(answer.results)
    told = f"{count} result{'' if count == 1 else 's'} in {answer.milliseconds:.0f} ms"
    return (
        f'<p class="note">{told} · <a href="{escape(link)}">JSON</a></p>'
        f'<ol class="found">{found}</ol>'
    )


def _result(result: Result) -> str:
    passage = result.passage
    title = marked(passage.title, result.title) or escape(passage.text[:_HEAD_WIDTH])
    spoken = f' lang="{escape(passage.language)}"' if passage.language else ""
    before, after = "" if result.is_start else "… ", "" if result.is_end else " …"
    scores = " · ".join(f"{name} {score:.3f}" for name, score in result.heads.items())
    where = " · ".join(part for part in (passage.language, passage.id, passage.url) if part)
    return (
        f'<li><h2 dir="auto"{spoken}>{title}</h2><p class="meta">{escape(where)}</p>'
        f'<p class="text" dir="auto"{spoken}>{before}{marked(result.snippet, result.matches)}'
        f"{after}</p><details><summary>{result.score:.3f} = {escape(scores)}</summary>"
        f"{_why(result)}</details></li>"
    )


def marked(text: str, found: Sequence[Span]) -> str:
    """Return escaped text with its matches in `<mark>`, their share of the score as title."""
    pieces, done = [], 0
    for span in found:
        pieces.append(escape(text[done : span.start]))
        inner = escape(text[span.start : span.end])
        pieces.append(f'<mark title="{span.score:.3f}">{inner}</mark>')
        done = span.end
    return "".join([*pieces, escape(text[done:])])


def _why(result: Result) -> str:
    heads = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{score:.4f}</td></tr>'
        for name, score in result.heads.items()
    )
    terms = "".join(
        f'<tr><td dir="auto">{escape(term.text)}</td><td class="n">{term.query_weight:.3f}</td>'
        f'<td class="n">{term.passage_weight:.3f}</td><td class="n">{term.score:.4f}</td></tr>'
        for term in result.terms
    )
    rows = terms or '<tr><td colspan="4">no token in common</td></tr>'
    return (
        f'<div class="why"><table><tr><th>head</th><th class="n">score</th></tr>{heads}</table>'
        '<table><tr><th>shared token</th><th class="n">query</th><th class="n">passage</th>'
        f'<th class="n">product</th></tr>{rows}</table></div>'
    )
