/** The style sheet of the page. Colours have a contrast of 4.5 or more, on light and on dark. */
export const DOCS_STYLE: string = `
:root {
  color-scheme: light dark;
  --back: #ffffff; --soft: #f3f4f6; --text: #1b1f24; --faint: #57606a; --line: #8a939d; --link: #0a58a8;
  --get: #0a58a8; --post: #1a6b2f; --delete: #a3231f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #15181c; --soft: #20252b; --text: #e8eaed; --faint: #aab2bb; --line: #717a84; --link: #84bbff;
    --get: #84bbff; --post: #84d69b; --delete: #ff9d97;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header, main, noscript p { max-width: 60rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 1.5rem 0 0.25rem; }
h2 { font-size: 1.25rem; margin: 2rem 0 0.25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1rem 0 0.25rem; }
p { margin: 0.25rem 0; }
a { color: var(--link); }
.faint { color: var(--faint); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; padding: 0; }
code, pre, textarea, .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 0.875rem; }
code { overflow-wrap: anywhere; }
pre { background: var(--soft); padding: 0.5rem; margin: 0.25rem 0; overflow: auto; max-height: 30rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
details.route { border: 1px solid var(--line); border-radius: 4px; margin: 0.5rem 0; }
details.route > summary { padding: 0.5rem; cursor: pointer; }
details.route > div { padding: 0 0.75rem 0.75rem; border-top: 1px solid var(--line); }
summary .method { display: inline-block; min-width: 4.5rem; font-weight: 700; }
.get { color: var(--get); } .post { color: var(--post); } .delete { color: var(--delete); }
.deprecated code { text-decoration: line-through; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.field { margin: 0.5rem 0; }
.field label { display: block; font-weight: 600; }
input, select, textarea, button { font: inherit; color: inherit; background: var(--back); border: 1px solid var(--line);
  border-radius: 4px; padding: 0.35rem 0.5rem; max-width: 100%; }
textarea { width: 100%; min-height: 9rem; }
.field input { width: 24rem; }
button { cursor: pointer; background: var(--soft); margin-right: 0.5rem; }
button:disabled { cursor: default; color: var(--faint); }
.answers { padding-left: 1.25rem; margin: 0.25rem 0; }
.error { border-left: 4px solid var(--delete); padding-left: 0.5rem; }
`
