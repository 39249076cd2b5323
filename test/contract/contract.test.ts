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

describe.each(names)('program %s', (name) => {
  it('is run unmodified', () => {
    for (const file of readdirSync(join(PROGRAMS, name))) {
      expect(readFileSync(join(dir, name, file))).toEqual(readFileSync(join(PROGRAMS, name, file)))
    }
  })

  it('prints what it should, and ends by itself', async () => {
    const cwd = join(dir, name)
    const env = { KIQ_DB: join(cwd, 'data', 'kiq.db') }
    const beside = commandBeside(readFileSync(join(cwd, 'main.ts'), 'utf8'))
    const companion = beside === undefined ? undefined : start([CLI, ...beside], cwd, env)
    try {
      const { code, stdout, stderr } = await ended(start(['--import', TSX, 'main.ts'], cwd, env))

      // What it logs of failed tasks is its own affair; it explains what goes wrong here.
      expect(differences(stdout, readFileSync(join(cwd, 'expected.txt'), 'utf8')), stderr).toEqual([])
      expect(code, stderr).toBe(0)
    } finally {
      if (companion) await stop(companion)
    }
  })
})

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
