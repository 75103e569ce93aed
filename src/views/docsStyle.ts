/** What the documentation has beside the style of all pages. */
export const DOCS_STYLE = `
.docs h2 { font-size: 1.4375rem; margin: 3rem 0 .25rem; scroll-margin-top: 1rem }
.docs h3 { font-size: 1rem; margin: 1.5rem 0 .5rem }
.docs p { max-width: 44rem }
.docs p + p { margin-top: .75rem }
.docs code, .docs pre { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, monospace; font-size: .875rem }
.docs :not(pre) > code { padding: .1em .35em; border-radius: .3rem; background: var(--chip) }
.docs pre {
  margin: 1rem 0; padding: 1rem 1.25rem; overflow-x: auto; border-radius: .75rem;
  background: var(--chip); line-height: 1.55; overflow-wrap: normal;
}
.docs nav { display: flex; flex-wrap: wrap; gap: .375rem 1rem; margin-top: 1.25rem }
.docs details { border-top: 1px solid var(--line) }
.docs details:last-of-type { border-bottom: 1px solid var(--line) }
.docs h2 + details, .docs p + details { margin-top: 1rem }
.docs summary {
  display: flex; flex-wrap: wrap; gap: .125rem .75rem; align-items: baseline;
  padding: .625rem .25rem; cursor: pointer; list-style: none;
}
.docs summary::-webkit-details-marker { display: none }
.docs summary:hover { background: var(--chip) }
.docs summary:focus-visible { outline: 3px solid var(--link); outline-offset: -3px; border-radius: 3px }
.docs summary code { background: none; padding: 0; font-weight: 600 }
.docs summary span { flex-basis: 100%; color: var(--soft); font-size: .9375rem }
.docs .method { flex: none; width: 4rem; font-size: .875rem; color: var(--link) }
.docs .post { color: var(--good) }
.docs .put { color: var(--late) }
.docs .delete { color: var(--bad) }
.docs .more { padding: 0 .25rem 1.25rem }
.docs table { width: 100%; border-collapse: collapse; font-size: .9375rem }
.docs td { padding: .375rem .75rem .375rem 0; border-top: 1px solid var(--line); vertical-align: top }
.docs tr:first-child td { border-top: 0 }
.docs td:first-child { width: 34%; overflow-wrap: normal }
.trial { margin: 1.5rem 0; padding: 1.25rem clamp(1rem, 3vw, 1.5rem); border: 1px solid var(--line); border-radius: .875rem }
.trial h3 { margin: 0 0 .75rem }
.trial form { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr) }
.inputs { display: grid; gap: .75rem 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 11rem), 1fr)) }
.trial label, dialog label { font-size: .9375rem }
.trial input, .trial textarea, dialog input:not([type=checkbox]) { display: block; width: 100%; margin-top: .25rem; font-weight: 400 }
.trial input, dialog input { padding: .5rem .75rem; border-radius: .5rem }
::placeholder { color: var(--soft); opacity: 1 }
textarea {
  padding: .75rem; border-radius: .5rem; resize: vertical; field-sizing: content; max-height: 28rem; color: var(--ink); background: var(--sheet);
  border: 1px solid var(--soft); font: .875rem/1.55 ui-monospace, 'SF Mono', Menlo, Consolas, monospace;
}
textarea:focus-visible, .docs pre:focus-visible { outline: 3px solid var(--link); outline-offset: 3px }
.send { display: flex; flex-wrap: wrap; gap: .625rem 1rem; align-items: center }
.send button, .languages button, .docs .ask { width: auto }
.send > button { min-width: 7rem; padding: .5rem 1rem }
.docs .ask, form .ask, .no, #forget { color: var(--link); background: none }
.docs .ask { display: inline; padding: 0 .25rem; border-color: transparent; text-decoration: underline; text-underline-offset: .18em }
.trial [role=status].good { color: var(--good) }
.trial [role=status].bad { color: var(--bad) }
.docs .answer { max-height: 28rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere }
.languages { display: flex; flex-wrap: wrap; gap: .25rem; margin-top: 1.25rem }
.languages div { display: flex; flex-wrap: wrap }
.languages .copy { margin-inline-start: auto }
.languages button { padding: .25rem clamp(.4375rem, 2vw - .25rem, .75rem); border-color: transparent; border-radius: .5rem; font-size: .9375rem; background: none }
.languages [aria-pressed=true] { color: var(--ink); background: var(--chip) }
.trial > pre:last-child { margin: .5rem 0 0 }
dialog {
  width: min(30rem, 100vw - 2rem); padding: clamp(1.25rem, 5vw, 2rem); color: var(--ink); background: var(--sheet);
  border: 1px solid var(--line); border-radius: 1.25rem;
}
dialog::backdrop { background: rgb(0 0 0 / .45) }
dialog form { display: grid; gap: 1rem }
dialog h2 { margin: 0 }
.tick { display: flex; gap: .625rem; align-items: baseline; font-weight: 400 }
.tick input { flex: none; margin: 0; accent-color: var(--link) }
@media (min-width: 44rem) {
  .docs summary span { flex-basis: auto; margin-inline-start: auto }
}
@media print {
  .docs details { break-inside: avoid }
  .trial { display: none }
}
`
