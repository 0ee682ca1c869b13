"""The report's style sheet: system fonts, one accent, light and dark, one column on a phone."""

STYLE = """\
:root{color-scheme:light dark;--ink:#1d1d1f;--soft:#6b6b70;--line:#e3e3e6;--paper:#fff;
--tint:#f6f6f7;--accent:#2f6f8f}
@media(prefers-color-scheme:dark){:root{--ink:#ececee;--soft:#9a9aa2;--line:#34343a;
--paper:#17171a;--tint:#1f1f23;--accent:#6fb3d2}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,
"Segoe UI",Roboto,"Noto Sans",sans-serif;-webkit-text-size-adjust:100%}
main{max-width:1120px;margin:0 auto;padding:48px 24px 80px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px;font-weight:650;letter-spacing:-.01em}
h2{font-size:19px;margin:64px 0 4px;font-weight:650;letter-spacing:-.005em}
h3{font-size:15px;margin:0;font-weight:600}
p.note,.sub{color:var(--soft);margin:0 0 20px;max-width:68ch}
p.rest{margin-top:28px}
.num,td.n,.totals dd{font-variant-numeric:tabular-nums}
.totals{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:1px;
margin:32px 0 0;background:var(--line);border:1px solid var(--line);border-radius:8px;
overflow:hidden}
.totals div{background:var(--paper);padding:14px 16px}
.totals dt{color:var(--soft);font-size:13px}
.totals dd{margin:0;font-size:24px;font-weight:600;letter-spacing:-.01em}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th{font-weight:400;color:var(--soft);font-size:13px;text-align:left;padding:0 16px 6px 0}
td{border-top:1px solid var(--line);padding:7px 16px 7px 0;vertical-align:middle}
th.n,td.n{text-align:right;white-space:nowrap}
td.m{width:34%;min-width:110px;padding-right:0}
.meter{display:block;height:8px;border-radius:2px;background:var(--tint);overflow:hidden}
.meter i{display:block;height:100%;background:var(--accent);border-radius:2px}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:32px 28px}
.grid.small{grid-template-columns:repeat(auto-fill,minmax(176px,1fr));gap:28px 24px}
.cell{min-width:0;border-top:1px solid var(--line);padding-top:10px}
.head{display:flex;justify-content:space-between;align-items:baseline;gap:8px}
.head span{color:var(--soft);font-size:13px;white-space:nowrap}
.hist{display:block;width:100%;height:52px;margin-top:10px;border-bottom:1px solid var(--line)}
.hist path{fill:var(--accent)}
.axis{display:flex;justify-content:space-between;gap:6px;color:var(--soft);font-size:12px;
margin:3px 0 0;font-variant-numeric:tabular-nums;white-space:nowrap}
.rows{margin:8px 0 0;font-size:13px}
.rows div{display:flex;justify-content:space-between;gap:8px}
.rows dt{min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.rows dd{margin:0;font-variant-numeric:tabular-nums}
.rows .r{color:var(--soft)}
.rows .r:first-of-type,.rows .gap{margin-top:5px}
details{border-top:1px solid var(--line)}
details:last-of-type{border-bottom:1px solid var(--line)}
summary{cursor:pointer;padding:9px 0;font-weight:600}
summary span{color:var(--soft);font-weight:400}
.read{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:12px;
padding:4px 0 18px}
.read article{background:var(--tint);border-radius:8px;padding:14px 16px;min-width:0;
overflow-wrap:anywhere}
.read .meta{color:var(--soft);font-size:12px;margin:0 0 6px}
.read .q{font-weight:600;margin:0 0 6px}
.read .t{margin:0;font-size:14px;white-space:pre-line}
h3.part{margin:28px 0 12px}
footer{margin-top:64px;color:var(--soft);font-size:13px;border-top:1px solid var(--line);
padding-top:14px}
footer a{color:inherit}
@media(max-width:560px){main{padding:28px 16px 56px}h1{font-size:24px}h2{margin-top:48px}
.grid.small{grid-template-columns:repeat(2,minmax(0,1fr));gap:24px 18px}
.totals{grid-template-columns:repeat(2,1fr)}.totals div:last-child:nth-child(odd){grid-column:1/-1}
.totals dd{font-size:20px}td,th{padding-right:12px}
td.m{min-width:64px}.read{grid-template-columns:1fr}}
@media print{details:not([open])>*{display:block}}
"""
