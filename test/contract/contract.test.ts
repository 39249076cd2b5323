import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { engineSuite } from '../support/engine-suite.ts'
import { pythonEngine, pythonEnvironments, runPython, startPythonWorker } from '../support/python.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const PROGRAMS = join(import.meta.dirname, 'programs')
const CLI = join(ROOT, 'dist/cli/main.js')
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href

const names = readdirSync(PROGRAMS, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .toSorted()

const dir = mkdtempSync(join(tmpdir(), 'kiq-contract-'))
let typeCheck: Ended

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

beforeAll(async () => {
  if (!existsSync(CLI)) throw new Error(`${CLI} is not there. Run \`npm run build\` first; \`npm test\` does.`)
  mkdirSync(join(dir, 'node_modules'))
  symlinkSync(ROOT, join(dir, 'node_modules/kiq'))
  symlinkSync(join(ROOT, 'node_modules/@types'), join(dir, 'node_modules/@types'))
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
  for (const name of names) cpSync(join(PROGRAMS, name), join(dir, name), { recursive: true })
  const compilerOptions = {
    strict: true,
    target: 'ES2023',
    module: 'NodeNext',
    moduleResolution: 'NodeNext',
    noEmit: true,
  }
  // Programs import each other as they are written: `./tasks.ts`.
  const options = { ...compilerOptions, allowImportingTsExtensions: true, types: ['node'] }
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: names }))
  typeCheck = await ended(start([join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', dir], dir))
})

afterAll(() => rmSync(dir, { recursive: true, force: true }))

describe('programs', () => {
  it('are there', () => {
    expect(names).toEqual(expect.arrayContaining(['01-hello', '02-kicker-middleware', '03-embedded-worker']))
  })

  it('type-check with strict, NodeNext and ES2023', () => {
    expect(typeCheck).toEqual({ code: 0, stdout: '', stderr: '' })
  })
})

/** Those that need a server and a worker in Python, which is in their folder. */
const withPython = names.filter((name) => existsSync(join(PROGRAMS, name, 'worker.py')))

describe.each(names)('program %s', (name) => {
  it('is run unmodified', () => {
    for (const file of readdirSync(join(PROGRAMS, name))) {
      expect(readFileSync(join(dir, name, file))).toEqual(readFileSync(join(PROGRAMS, name, file)))
    }
  })

  if (withPython.includes(name)) return

  it('prints what it should, and ends by itself', async () => {
    const cwd = join(dir, name)
    const env = { KIQ_DB: join(cwd, 'data', 'kiq.db') }
    const beside = commandBeside(readFileSync(join(cwd, 'main.ts'), 'utf8'))
    const companion = beside === undefined ? undefined : start([CLI, ...beside], cwd, env)
    try {
      await expectAsWritten(cwd, env)
    } finally {
      if (companion) await stop(companion)
    }
  })
})

engineSuite('programs with a worker in Python', [redisEngine, pythonEngine], () => {
  const environments = pythonEnvironments()
  const cases = withPython.flatMap((name) => environments.map((environment) => [name, environment] as const))

  it.each(cases)('%s prints what it should, with Taskiq $1.taskiq', async (name, { python, taskiq }) => {
    const redis = await startRedis()
    const cwd = join(dir, name)
    const env = { REDIS_URL: redis.url, QUEUE: `contract-${taskiq}` }
    const worker = await startPythonWorker({ python, module: 'worker:broker', directory: cwd, env })
    try {
      await expectAsWritten(cwd, env)
    } catch (error) {
      throw new Error(`The worker printed:\n${worker.output}`, { cause: error })
    } finally {
      await worker.kill()
      await redis.close()
    }
  })

  it.each(cases)('%s serves Python, with Taskiq $1.taskiq', async (name, { python, taskiq }) => {
    const redis = await startRedis()
    const cwd = join(dir, name)
    const env = { REDIS_URL: redis.url, QUEUE: `served-${taskiq}` }
    const worker = start([CLI, 'worker', 'tasks.ts:broker', '-w', '1'], cwd, env)
    try {
      const printed = await runPython(python, { code: PYTHON_CLIENT }, { cwd, env })

      expect(printed.trim().split('\n')).toEqual(['False 5 None', 'False 7 None', "True None TypeError('no')"])
    } finally {
      await stop(worker)
      await redis.close()
    }
  })
})

/** What the comment in the program's `tasks.ts` promises. */
const PYTHON_CLIENT = `
import asyncio
from taskiq.kicker import AsyncKicker
from worker import broker

async def main():
    await broker.startup()
    for name, args, kwargs in [("ts:add", (2, 3), {}), ("ts:add", (), {"a": 2, "b": 5}), ("ts:boom", ("no",), {})]:
        task = await AsyncKicker(task_name=name, broker=broker, labels={}).kiq(*args, **kwargs)
        result = await task.wait_result(timeout=20)
        print(result.is_err, result.return_value, repr(result.error))
    await broker.shutdown()

asyncio.run(main())
`

async function expectAsWritten(cwd: string, env: Readonly<Record<string, string>>): Promise<void> {
  const { code, stdout, stderr } = await ended(start(['--import', TSX, 'main.ts'], cwd, env))

  // What it logs of failed tasks is its own affair; it explains what goes wrong here.
  expect(differences(stdout, readFileSync(join(cwd, 'expected.txt'), 'utf8')), stderr).toEqual([])
  expect(code, stderr).toBe(0)
}

/** What the program asks for in its first lines: `// Run beside:  npx kiq worker …`. */
function commandBeside(source: string): readonly string[] | undefined {
  return /^\/\/ Run beside:\s+npx kiq (.+)$/m.exec(source)?.[1]?.trim().split(/\s+/)
}

/** Lines that are not as expected; an expected `<...>` is any text there. */
function differences(stdout: string, expected: string): string[] {
  const printed = stdout.trimEnd().split('\n')
  const wanted = expected.trimEnd().split('\n')
  return Array.from({ length: Math.max(printed.length, wanted.length) }, (_, i) => i).flatMap((i) => {
    const pattern = wanted[i]
      ?.split(/<[^<>]*>/)
      .map(escapeRegExp)
      .join('.*')
    if (pattern !== undefined && new RegExp(`^${pattern}$`).test(printed[i] ?? '')) return []
    return [`line ${i + 1}: ${JSON.stringify(printed[i])} instead of ${JSON.stringify(wanted[i])}`]
  })
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

function start(args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}): ChildProcess {
  // Without colours, and nothing that a test runner puts there for itself.
  const { NODE_OPTIONS: _options, FORCE_COLOR: _force, VITEST: _vitest, ...rest } = process.env
  return spawn(process.execPath, args, {
    cwd,
    env: { ...rest, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

function ended(child: ChildProcess): Promise<Ended> {
  return new Promise((onEnd, onError) => {
    let stdout = ''
    let stderr = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', onError)
    child.on('close', (code) => onEnd({ code, stdout, stderr }))
  })
}

/** Ends a worker as its user would; kills it when that does not help. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((onExit) => child.once('exit', onExit))
  child.stdout?.resume()
  child.stderr?.resume()
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await gone
  clearTimeout(timer)
  expect(child.signalCode).toBeNull()
}
