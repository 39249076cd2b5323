import { cpSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { fillIn, ROOT, Sandbox } from './sandbox.ts'

const folder = join(ROOT, 'examples')
const examples = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .sort()

let sandbox: Sandbox

beforeAll(() => {
  sandbox = new Sandbox()
  // Without what a run of the example in its own place has left behind.
  cpSync(folder, join(sandbox.dir, 'examples'), { recursive: true, filter: (path) => basename(path) !== '.kiq' })
})

afterAll(() => sandbox.close())

describe('examples', () => {
  it.each(examples)('%s is short', (name) => {
    const modules = readdirSync(join(folder, name)).filter((file) => file.endsWith('.ts'))
    const code = modules.flatMap((file) => linesOf(join(folder, name, file)))

    expect(linesOf(join(folder, name, 'README.md')).length).toBeLessThanOrEqual(25)
    expect(code.filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(80)
  })

  it.concurrent.each(examples)(
    '%s prints what its expected.txt says',
    async (name) => {
      const worker = workerArguments(readFileSync(join(folder, name, 'README.md'), 'utf8'))

      const { exitCode, stdout, stderr } = await sandbox.run(join('examples', name), 'main.ts', worker)

      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.any(String) })
      expect(stdout.trimEnd(), stderr).toBe(fillIn(readFileSync(join(folder, name, 'expected.txt'), 'utf8'), stdout))
    },
    60_000,
  )
})

function linesOf(path: string): readonly string[] {
  return readFileSync(path, 'utf8').trimEnd().split('\n')
}

/** Of the command that the page tells its reader to run in another terminal; `undefined` when there is none. */
function workerArguments(readme: string): readonly string[] | undefined {
  const command = /^node \.\.\/\.\.\/dist\/cli\/main\.js worker (?<args>.+)$/m.exec(readme)
  return command?.groups?.['args']?.split(' ')
}
