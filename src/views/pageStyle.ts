// No inline style attributes anywhere: the policy below allows this one text and nothing else.
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #eff2f4; --sheet: #ffffff; --ink: #18212b; --soft: #54606d; --line: #dce2e7;
  --link: #0a5a78; --glow: #e3ecf1; --chip: #eef2f5; --metal: #8292a1; --face: #f8fafb;
  --good: #145c38; --good-bg: #e4f3ea; --late: #6f4300; --late-bg: #fcf0d8;
  --bad: #93182b; --bad-bg: #fce8ea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #11151a; --sheet: #1a2027; --ink: #e9edf0; --soft: #a7b2bd; --line: #313a44;
    --link: #86cbea; --glow: #2b3540; --chip: #28313a; --metal: #8d9ba9; --face: #323d48;
    --good: #93dcb1; --good-bg: #17342a; --late: #f3ce86; --late-bg: #372b14;
    --bad: #ffb0b7; --bad-bg: #411f26;
  }
}
*, ::before, ::after { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body {
  margin: 0; min-height: 100vh; display: flex; flex-direction: column;
  padding: clamp(0rem, 4vw - 1rem, 3.5rem) clamp(0rem, 4vw - 1rem, 2rem) 0;
  background: var(--ground); color: var(--ink); overflow-wrap: anywhere;
  font: 1.0625rem/1.6 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif;
}
main { width: 100%; max-width: 64rem; margin: 0 auto }
article {
  background: var(--sheet); border-bottom: 1px solid var(--line);
  padding: clamp(1.25rem, 5vw, 3.5rem);
}
h1, h2, p, ul, dl, dd { margin: 0; padding: 0 }
h1 {
  font-size: clamp(1.75rem, 1.35rem + 2vw, 2.75rem); line-height: 1.15; font-weight: 700;
  letter-spacing: -.02em; text-wrap: balance;
}
h2 { font-size: 1.1875rem; line-height: 1.3; margin-bottom: .625rem; letter-spacing: -.005em }
a { color: var(--link); text-underline-offset: .18em; text-decoration-thickness: .06em }
a:hover { text-decoration-thickness: .13em }
a:focus-visible { outline: 3px solid var(--link); outline-offset: 3px; border-radius: 2px }
.text { white-space: pre-line; max-width: 42rem }
.text + .text { margin-top: .85em }
time { white-space: nowrap }
.soft { color: var(--soft) }
.small { font-size: .9375rem; line-height: 1.5 }
.art {
  display: grid; place-items: center; padding: 1.5rem; border-radius: 1.25rem;
  background: radial-gradient(circle closest-side, var(--glow), transparent);
}
.art img, .art svg { display: block; width: min(100%, 15rem); aspect-ratio: 1; object-fit: contain }
.art.faded img, .art.faded svg { filter: grayscale(1); opacity: .55 }
.medal .metal { fill: var(--metal) }
.medal .beads { fill: none; stroke: var(--metal); stroke-width: 15; stroke-linecap: round }
.medal .face { fill: var(--face) }
.medal .ring { fill: none; stroke: var(--metal); stroke-width: 2.5 }
.strapline {
  margin-top: .75rem; color: var(--soft); font-size: clamp(1.125rem, 1rem + .6vw, 1.3125rem);
  line-height: 1.45; text-wrap: pretty;
}
.status {
  display: flex; gap: .75rem; margin-top: 1.5rem; padding: .875rem 1.125rem;
  border-radius: .75rem; max-width: 42rem;
}
.status svg { flex: none; width: 1.5rem; height: 1.5rem; margin-top: .05rem }
.status strong { display: block }
.status p { color: var(--ink) }
.status span { display: block; margin-top: .25rem }
.valid { color: var(--good); background: var(--good-bg) }
.expired, .archived, .suspended, .renewed { color: var(--late); background: var(--late-bg) }
.revoked { color: var(--bad); background: var(--bad-bg) }
.head { display: grid; gap: 1.25rem }
.body { margin-top: 2rem; display: grid; gap: 2rem }
.facts { display: grid; gap: 1.25rem; align-content: start }
.facts dt { color: var(--soft); font-size: .9375rem }
.facts dd { font-weight: 600 }
.facts .light { font-weight: 400 }
.chain, .tags, footer ul { list-style: none }
.chain { display: grid; gap: .75rem; margin-top: .25rem }
.chain li { display: flex; gap: .75rem; align-items: flex-start }
.chain img {
  flex: none; width: 2.75rem; height: 2.75rem; margin-top: .15rem; padding: .2rem;
  object-fit: contain; border-radius: .5rem; background: #fff; border: 1px solid var(--line);
}
.chain:has(img) li:not(:has(img)) { padding-inline-start: 3.5rem }
.chain .small { display: block; font-weight: 400 }
.sections { display: grid; gap: 2rem; align-content: start; min-width: 0 }
.points { padding-inline-start: 1.2rem; max-width: 42rem }
.points li { padding-inline-start: .25rem }
.points li::marker { color: var(--soft) }
.points li + li { margin-top: .75rem }
.points + p { margin-top: 1rem }
.tags { display: flex; flex-wrap: wrap; gap: .5rem; font-size: .9375rem }
.tags li { padding: .2rem .75rem; border-radius: 1rem; background: var(--chip) }
.plain { max-width: 42rem; margin: 0 auto }
.plain h1 { font-size: clamp(1.5rem, 1.25rem + 1vw, 2rem) }
.plain > p { margin-top: 1rem }
footer {
  width: 100%; max-width: 64rem; margin: 0 auto; padding: 1.5rem clamp(1.25rem, 5vw, 3.5rem) 2.5rem;
  color: var(--soft); font-size: .9375rem;
}
footer ul { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem }
footer a { color: inherit }
.paper { display: none }
.side { display: grid; gap: 2rem; align-content: start }
.actions { display: grid; gap: .625rem; list-style: none; max-width: 24rem }
.actions + p { margin-top: .75rem; max-width: 24rem }
.actions a, button {
  display: block; width: 100%; padding: .625rem 1rem; border-radius: .625rem; text-align: center;
  font: inherit; font-weight: 600; line-height: 1.4; text-decoration: none; cursor: pointer;
  color: var(--link); background: var(--sheet); border: 1px solid var(--link);
}
.actions .main, form button, .checks + button { color: var(--sheet); background: var(--link) }
.actions a:hover, button:hover { text-decoration: underline }
button:focus-visible, input:focus-visible { outline: 3px solid var(--link); outline-offset: 3px }
button[disabled] { opacity: .7; cursor: progress }
label { display: block; font-weight: 600 }
.field { display: flex; flex-wrap: wrap; gap: .625rem; margin-top: .375rem; max-width: 34rem }
.field button, .checks + button { width: auto }
input {
  flex: 1 1 14rem; min-width: 0; padding: .625rem .875rem; border-radius: .625rem;
  font: inherit; color: var(--ink); background: var(--sheet); border: 1px solid var(--soft);
}
[role=status] { margin-top: .75rem; font-weight: 600 }
[role=status]:empty { margin: 0 }
.checks { list-style: none; max-width: 42rem; margin-bottom: 1rem }
.checks li { display: flow-root; padding: .625rem 0; border-bottom: 1px solid var(--line) }
.checks b { float: right; margin-inline-start: 1rem; padding: 0 .625rem; border-radius: 1rem; font-weight: 600 }
.checks b { color: var(--soft); background: var(--chip) }
.checks .passed b { color: var(--good); background: var(--good-bg) }
.checks .failed b { color: var(--bad); background: var(--bad-bg) }
.checks .unknown b { color: var(--late); background: var(--late-bg) }
.checks p { color: var(--soft) }
.live > p { max-width: 42rem }
.live > p + * { margin-top: .75rem }
.cards { display: grid; gap: .75rem; list-style: none; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)) }
.cards li { display: flex; gap: .875rem; padding: .875rem; border: 1px solid var(--line); border-radius: .875rem }
.cards img, .cards svg { flex: none; width: 3.5rem; height: 3.5rem; object-fit: contain }
.cards a { font-weight: 600 }
@media (min-width: 44rem) {
  article { border: 1px solid var(--line); border-radius: 1.25rem }
  .head.pair, .body { grid-template-columns: 14rem minmax(0, 1fr); column-gap: 2rem }
  .head.pair { align-items: center }
  .art { padding: .5rem }
}
@media (min-width: 56rem) {
  .head.pair, .body { grid-template-columns: 18rem minmax(0, 1fr); column-gap: 3.5rem }
  .art img, .art svg { width: min(100%, 17rem) }
}
@media print {
  :root {
    color-scheme: light;
    --ground: #fff; --sheet: #fff; --ink: #000; --soft: #444; --line: #bbb; --link: #000;
    --glow: #fff; --chip: #fff; --metal: #888; --face: #fff;
    --good: #000; --good-bg: #fff; --late: #000; --late-bg: #fff; --bad: #000; --bad-bg: #fff;
  }
  html { font-size: 10.5pt }
  body { display: block; padding: 0 }
  article { border: 0; padding: 0 }
  .head.pair, .body { grid-template-columns: 14rem minmax(0, 1fr); column-gap: 2rem }
  .status { border: 1px solid }
  .tags li { border: 1px solid var(--line) }
  .status, .points li, .chain li { break-inside: avoid }
  h2 { break-after: avoid }
  footer { padding: 1.5rem 0 0 }
  footer ul, .actions, .live { display: none }
  .paper { display: block }
}
`
