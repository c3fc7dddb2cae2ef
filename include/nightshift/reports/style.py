"""The style sheet of all reports, light and dark."""

CSS = """
:root{--ink:#1c2330;--soft:#5b6475;--line:#dfe3ea;--ground:#fff;--panel:#f6f7f9;--bar:#cfe0fa;
--one:#1f6feb;--two:#d9822b;--good:#1a7f46;--warn:#9a6700;--bad:#c4262e;--off:#6b7280}
@media (prefers-color-scheme:dark){:root{--ink:#e3e7ee;--soft:#98a2b3;--line:#2e3644;
--ground:#12161d;--panel:#1a2029;--bar:#23406b;--one:#6ea8ff;--two:#f0a35e;--good:#3fb873;
--warn:#d9a637;--bad:#f06a70;--off:#8b94a3}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:68rem;padding:2rem 1.25rem 4rem;background:var(--ground);
color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header{border-bottom:1px solid var(--line);margin-bottom:1.5rem}
h1{font-size:1.5rem;margin:0;display:flex;gap:.75rem;align-items:center;flex-wrap:wrap}
header p{color:var(--soft);margin:.25rem 0 1rem}
h2,summary{font-size:1.1rem;font-weight:600;margin:1.75rem 0 .5rem}
summary{cursor:pointer}
a{color:var(--one)}
p{white-space:pre-line;margin:.5rem 0}
pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.75rem;
overflow-x:auto;font:13px/1.5 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap}
.scroll{overflow-x:auto}
table{border-collapse:collapse;min-width:50%;margin:.5rem 0}
caption{caption-side:bottom;text-align:left;color:var(--soft);font-size:.85rem;padding:.4rem 0}
th{color:var(--soft);font-weight:600;text-align:left;font-size:.85rem}
th,td{padding:.35rem .75rem;border-bottom:1px solid var(--line);vertical-align:top}
td{white-space:pre-line;overflow-wrap:break-word}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.tight{white-space:nowrap;width:1%}
.none{color:var(--off);text-align:right}
.bar{position:relative;min-width:8rem}
.bar i{position:absolute;left:0;top:3px;bottom:3px;background:var(--bar);border-radius:3px}
.bar span{position:relative}
.badge{display:inline-block;border:1px solid currentColor;border-radius:999px;padding:0 .6rem;
font-size:.8rem;font-weight:600;line-height:1.5;white-space:nowrap}
.badge.passed{color:var(--good)}.badge.warning{color:var(--warn)}.badge.failed{color:var(--bad)}
.badge.skipped,.badge.info{color:var(--off)}
figure{margin:.5rem 0}
figcaption{color:var(--soft);font-size:.85rem}
svg{max-width:100%;height:auto}
svg text{fill:var(--soft);font:12px system-ui,sans-serif}
svg .axis{stroke:var(--line);fill:none}
svg .one{stroke:var(--one);fill:none;stroke-width:2}
svg .two{stroke:var(--two);fill:none;stroke-width:2;stroke-dasharray:6 3}
svg .fair{stroke:var(--off);fill:none;stroke-dasharray:2 4}
svg .limit{stroke:var(--bad);fill:none;stroke-dasharray:5 4;opacity:.7}
svg .good{stroke:var(--good)}
svg .bad{stroke:var(--bad)}
svg .even{stroke:var(--soft)}
svg .whisker{stroke-width:1.5;stroke-dasharray:none}
svg .dot,svg .area{stroke:none}
svg .dot.one,svg .area.one{fill:var(--one)}
svg .dot.two,svg .area.two{fill:var(--two)}
svg .dot.good{fill:var(--good)}
svg .dot.bad{fill:var(--bad)}
svg .dot.even{fill:var(--soft)}
svg text.ink{fill:var(--ink)}
.figures{display:flex;flex-wrap:wrap;gap:0 2.5rem}
.figures figure{max-width:25rem}
@media print{body{max-width:none}details{display:block}}
""".replace("\n", "")
