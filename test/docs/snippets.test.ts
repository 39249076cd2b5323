import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { snippetsOf } from './markdown.ts'
import { fillIn, ROOT, Sandbox } from './sandbox.ts'

const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...pagesOf('docs')]
const snippets = pages.flatMap((page) => snippetsOf(page, readFileSync(join(ROOT, page), 'utf8')))

let sandbox: Sandbox

beforeAll(() => {
  sandbox = new Sandbox()
  for (const { folder, file, code } of snippets) sandbox.write(join(folder, file), code)
})

afterAll(() => sandbox.close())

describe('TypeScript in the documentation', () => {
  it('gives every file of an example a name of its own', () => {
    const paths = snippets.map(({ folder, file }) => join(folder, file))

    expect(paths.filter((path, index) => paths.indexOf(path) !== index)).toEqual([])
  })

  it('type-checks against the built package', async () => {
    expect(await sandbox.typeCheck()).toBe('')
  }, 60_000)

  for (const { place, folder, file, prints, worker } of snippets) {
    if (prints === undefined) continue
    it.concurrent(
      `prints what ${place} says`,
      async () => {
        const { exitCode, stdout, stderr } = await sandbox.run(folder, file, worker?.split(','))

        expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.any(String) })
        expect(stdout.trimEnd(), stderr).toBe(fillIn(prints, stdout))
      },
      60_000,
    )
  }
})

function pagesOf(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `${folder}/${name}`)
}
