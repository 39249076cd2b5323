import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { engineSuite } from '../support/engine-suite.ts'
import { pythonEngine, pythonEnvironments } from '../support/python.ts'
import { redisEngine } from '../support/redis-server.ts'
import { snippetsOf } from './markdown.ts'
import type { Snippet } from './markdown.ts'
import { RedisDatabases } from './redis-databases.ts'
import { fillIn, ROOT, Sandbox } from './sandbox.ts'

const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...pagesOf('docs')]
const snippets = pages.flatMap((page) => snippetsOf(page, readFileSync(join(ROOT, page), 'utf8')))

const redis = new RedisDatabases()
let sandbox: Sandbox

beforeAll(() => {
  sandbox = new Sandbox()
  for (const { folder, file, code } of snippets) sandbox.write(join(folder, file), code)
})

afterAll(async () => {
  sandbox.close()
  await redis.close()
})

describe('Documentation', () => {
  it('gives every file of an example a name of its own', () => {
    const paths = snippets.map(({ folder, file }) => join(folder, file))

    expect(paths.filter((path, index) => paths.indexOf(path) !== index)).toEqual([])
  })

  it('type-checks against the built package', async () => {
    expect(await sandbox.typeCheck()).toBe('')
  }, 60_000)

  testsOf(snippets.filter(({ needs }) => needs.length === 0))
})

engineSuite('Documentation with Redis', [redisEngine], () => {
  testsOf(snippets.filter(({ needs }) => needs.join() === 'redis'))
})

engineSuite('Documentation with Redis and Python', [redisEngine, pythonEngine], () => {
  testsOf(snippets.filter(({ needs }) => needs.includes('python')))
})

function testsOf(programs: readonly Snippet[]): void {
  for (const { place, folder, file, prints, worker, pythonWorker, needs } of programs) {
    if (prints === undefined) continue
    it.concurrent(
      `prints what ${place} says`,
      async () => {
        const env = needs.includes('redis') ? { REDIS_URL: await redis.next() } : {}
        const [environment] = pythonEnvironments()

        const options = { worker: worker?.split(','), pythonWorker, python: environment?.python, env }
        const { exitCode, stdout, stderr } = await sandbox.run(folder, file, options)

        expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.any(String) })
        expect(stdout.trimEnd(), stderr).toBe(fillIn(prints, stdout))
      },
      60_000,
    )
  }
}

function pagesOf(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `${folder}/${name}`)
}
