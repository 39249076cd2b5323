import { createHash } from 'node:crypto'

import { DOCS_SCRIPT } from './docs-script.ts'
import { DOCS_STYLE } from './docs-style.ts'

export interface DocsPageOptions {
  /** Title of the page: the name of the service. */
  readonly title: string
  /**
   * Where the OpenAPI document is, on the same host. Relative to the page, or absolute. Requests go to paths beside it, so
   * that the page works behind a prefix, too.
   */
  readonly documentPath: string
}

/** The value of `Content-Security-Policy` for {@link docsPage}: its own script and style, and requests to its own host. */
export const DOCS_CSP: string = [
  "default-src 'none'",
  `script-src '${hash(DOCS_SCRIPT)}'`,
  `style-src '${hash(DOCS_STYLE)}'`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/**
 * A page that shows an OpenAPI document and sends requests. Complete in itself: it loads the document and nothing else.
 * Send it with {@link DOCS_CSP}.
 */
export function docsPage(options: DocsPageOptions): string {
  const title = escaped(options.title)
  const path = escaped(options.documentPath)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${DOCS_STYLE}</style>
</head>
<body data-document="${path}">
<header>
<h1>${title}</h1>
<div id="about"><p><a href="${path}">OpenAPI document</a></p></div>
</header>
<main id="routes"><p>Loading …</p></main>
<noscript><p>This page needs JavaScript. The <a href="${path}">document</a> does not.</p></noscript>
<script>${DOCS_SCRIPT}</script>
</body>
</html>
`
}

function hash(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}
