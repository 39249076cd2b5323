import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { createClient } from '@hey-api/openapi-ts'
import ts from 'typescript'
import { onTestFinished } from 'vitest'

const REPOSITORY = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/**
 * An empty folder for a test, gone after it. Below the repository, so that programs in it find the packages that are
 * installed there.
 */
export function programFolder(): string {
  const parent = join(REPOSITORY, '.tmp')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'client-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/**
 * Writes a client for an OpenAPI document into `<folder>/client`: `index.ts` with a function for each operation and the
 * types, `client.gen.ts` with the client itself, whose `setConfig({ baseUrl })` says where the server is.
 *
 * @param document - The document, as an object.
 * @returns The folder of the client.
 */
export async function generateClient(document: object, folder: string): Promise<string> {
  const path = join(folder, 'client')
  await createClient({
    // A copy: the generator writes into what it is given.
    input: structuredClone(document) as Record<string, unknown>,
    output: { path, postProcess: [], module: { extension: '.ts' } },
    plugins: ['@hey-api/typescript', '@hey-api/client-fetch', { name: '@hey-api/sdk', auth: true }],
    logs: { level: 'silent', file: false },
  })
  return path
}

/**
 * What the compiler says of a program, as strict as it can be told to: `12: message` for each error in that program, and
 * `client: message` for each in what it imports. Empty when there is nothing to say.
 *
 * @param source - TypeScript, written to `<folder>/<name>`.
 */
export function typeErrors(folder: string, name: string, source: string): readonly string[] {
  const file = join(folder, name)
  writeFileSync(file, source)
  const program = ts.createProgram([file], {
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
    strict: true,
    noUncheckedIndexedAccess: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    skipLibCheck: true,
  })
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => {
    const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ')
    const { file: at, start } = diagnostic
    if (at === undefined || start === undefined || at.fileName !== file) return `client: ${text}`
    return `${at.getLineAndCharacterOfPosition(start).line + 1}: ${text}`
  })
}
