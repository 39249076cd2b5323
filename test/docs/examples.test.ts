import { cpSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { engineSuite } from '../support/engine-suite.ts'
import { pythonEngine, pythonEnvironments } from '../support/python.ts'
import { redisEngine } from '../support/redis-server.ts'
import { RedisDatabases } from './redis-databases.ts'
import { fillIn, ROOT, Sandbox } from './sandbox.ts'
import type { RunOptions } from './sandbox.ts'

const folder = join(ROOT, 'examples')
const examples = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .sort()

const redis = new RedisDatabases()
let sandbox: Sandbox

beforeAll(() => {
  sandbox = new Sandbox()
  // Without what a run of the example in its own place has left behind.
  cpSync(folder, join(sandbox.dir, 'examples'), { recursive: true, filter: (path) => basename(path) !== '.kiq' })
})

afterAll(async () => {
  sandbox.close()
  await redis.close()
})

describe('examples', () => {
  it.each(examples)('%s is short', (name) => {
    const modules = readdirSync(join(folder, name)).filter((file) => file.endsWith('.ts'))
    const code = modules.flatMap((file) => linesOf(join(folder, name, file)))

    expect(linesOf(join(folder, name, 'README.md')).length).toBeLessThanOrEqual(25)
    expect(code.filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(80)
  })

  it.concurrent.each(examples.filter((name) => !usesPython(name)))(
    '%s prints what its expected.txt says',
    async (name) => await runs(name),
    60_000,
  )
})

engineSuite('Examples with Redis and Python', [redisEngine, pythonEngine], () => {
  describe.each(pythonEnvironments())('$name', ({ python }) => {
    it.concurrent.each(examples.filter(usesPython))(
      '%s prints what its expected.txt says',
      async (name) => await runs(name, { python, env: { REDIS_URL: await redis.next() } }),
      60_000,
    )
  })
})

/** Runs the programs of an example one after the other; all that they print together is as expected. */
async function runs(name: string, options: RunOptions = {}): Promise<void> {
  let printed = ''
  let errors = ''
  for (const { program, worker, pythonWorker } of programsOf(name)) {
    const all = { ...options, worker, pythonWorker }

    const { exitCode, stdout, stderr } = await sandbox.run(join('examples', name), program, all)

    expect({ program, exitCode, stderr }).toEqual({ program, exitCode: 0, stderr: expect.any(String) })
    printed += stdout
    errors += stderr
  }
  expect(printed.trimEnd(), errors).toBe(fillIn(readFileSync(join(folder, name, 'expected.txt'), 'utf8'), printed))
}

interface Program extends Pick<RunOptions, 'worker' | 'pythonWorker'> {
  readonly program: string
}

/** The commands that the page tells its reader to run in two terminals, one block for each pair; or `main.ts` alone. */
function programsOf(name: string): readonly Program[] {
  const readme = readFileSync(join(folder, name, 'README.md'), 'utf8')
  const blocks = [...readme.matchAll(/^```sh\n(?<commands>[^]*?)^```$/gm)]
  if (blocks.length === 0) return [{ program: 'main.ts' }]
  return blocks.map(({ groups }) => {
    const commands = groups?.['commands'] ?? ''
    return {
      program: /^(?:npx tsx|python) (\S+)$/m.exec(commands)?.[1] ?? '',
      worker: /^node \.\.\/\.\.\/dist\/cli\/main\.js worker (.+)$/m.exec(commands)?.[1]?.split(' '),
      pythonWorker: /^python -m taskiq worker (\S+)/m.exec(commands)?.[1],
    }
  })
}

function usesPython(name: string): boolean {
  return readdirSync(join(folder, name)).some((file) => file.endsWith('.py'))
}

function linesOf(path: string): readonly string[] {
  return readFileSync(path, 'utf8').trimEnd().split('\n')
}
