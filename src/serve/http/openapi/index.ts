export { DOCS_CSP, docsPage } from './docs-page.ts'
export { openApiDocument } from './document.ts'
export { jsonSchemaOf } from './json-schema.ts'
