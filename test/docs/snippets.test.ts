import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { engineSuite } from '../support/engine-suite.ts'
import type { Engine } from '../support/engine-suite.ts'
import { findProgram } from '../support/find-program.ts'
import { pythonEngine, pythonEnvironments } from '../support/python.ts'
import { redisEngine } from '../support/redis-server.ts'
import { snippetsOf } from './markdown.ts'
import type { Need } from './markdown.ts'
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

  testsOf('')
})

const ENGINES: Readonly<Record<Need, Engine & { readonly name: string }>> = {
  curl: {
    name: 'curl',
    missing: findProgram('curl') === undefined ? 'curl is not installed (Debian: apt-get install curl)' : undefined,
  },
  redis: { name: 'Redis', ...redisEngine },
  python: { name: 'Python', ...pythonEngine },
}

const programs = snippets.filter(({ prints }) => prints !== undefined)
const groups = new Map(programs.map(({ needs }) => [needs.join(), needs]))
for (const [group, needs] of groups) {
  if (needs.length === 0) continue
  const engines = needs.map((need) => ENGINES[need])
  engineSuite(`Documentation with ${engines.map(({ name }) => name).join(' and ')}`, engines, () => testsOf(group))
}

function testsOf(group: string): void {
  for (const { place, folder, file, prints = '', worker, serve, pythonWorker, needs } of programs) {
    if (needs.join() !== group) continue
    it.concurrent(
      `prints what ${place} says`,
      async () => {
        const env = needs.includes('redis') ? await redisVariables() : {}
        const [environment] = pythonEnvironments()

        const beside = { worker: worker?.split(','), serve: serve?.split(','), pythonWorker }
        const options = { ...beside, python: environment?.python, env }
        const { exitCode, stdout, stderr } = await sandbox.run(folder, file, options)

        expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.any(String) })
        expect(stdout.trimEnd(), stderr).toBe(fillIn(prints, stdout))
      },
      60_000,
    )
  }
}

async function redisVariables(): Promise<Readonly<Record<string, string>>> {
  const url = await redis.next()
  const settings = ['QUEUE_CONFIG', 'ASYNC_CONFIG'].map((name) => [`KIQ_APP_SETTINGS__${name}__BROKER_URL`, url])
  return { REDIS_URL: url, ...Object.fromEntries(settings) }
}

function pagesOf(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `${folder}/${name}`)
}
