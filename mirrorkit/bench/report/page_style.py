"""The style of the HTML report."""

STYLE = """
:root { --paper: #fff; --ink: #1b2128; --quiet: #5b6672; --line: #d6dbe1; --good: #17692f; --bad: #b3201f;
  --c0: #59636e; --c1: #0b62c1; --c2: #b34a00; --c3: #237b39; --c4: #9c2489; --c5: #7d6200; --c6: #00767a; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --ink: #e4e8ec; --quiet: #a0abb7; --line: #38414b; --good: #6fd08c; --bad: #ff8f86;
    --c0: #aeb8c3; --c1: #63b3ff; --c2: #ff9d5c; --c3: #6fd08c; --c4: #f193e2; --c5: #e3c54a; --c6: #4fd1c9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25; }
h2 { margin: 2rem 0 .5rem; font-size: 1.15rem; }
header p { margin: .4rem 0; }
.verdict { padding: .5rem .75rem; border-left: .3rem solid; font-weight: 600; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.quiet, .note, dt { color: var(--quiet); }
.note { margin: .4rem 0; font-size: .9rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1.5rem 2rem;
  align-items: start; margin-top: 1.5rem; }
figure { margin: 0; max-width: 32rem; }
figcaption { margin-bottom: .25rem; font-weight: 600; }
svg { display: block; width: 100%; height: auto; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg text { font-family: Verdana, "DejaVu Sans", sans-serif; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap;
  overflow-wrap: normal; }
th { font-weight: 600; }
th:first-child { position: sticky; left: 0; background: var(--paper); }
.left { text-align: left; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .9rem; }
dd { margin: 0; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
"""
