import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

import { runPython, startPythonWorker } from '../support/python.ts'

export const ROOT = resolve(import.meta.dirname, '../..')
const CLI = join(ROOT, 'dist/cli/main.js')

const LONGEST_RUN_MS = 45_000

/** What a user of the package may have installed beside it. */
const INSTALLED = [
  '@photostructure',
  '@types',
  'awilix',
  'cbor-x',
  'ioredis',
  'msgpackr',
  'tsx',
  'typescript',
  'valibot',
  'vitest',
  'zod',
]

/** As in a project of a user, but also what Node's own type stripping asks for. */
const TSCONFIG = {
  compilerOptions: {
    target: 'ES2023',
    module: 'NodeNext',
    moduleResolution: 'NodeNext',
    types: ['node'],
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    verbatimModuleSyntax: true,
    erasableSyntaxOnly: true,
    allowImportingTsExtensions: true,
  },
}

export interface Finished {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Arguments of a `kiq worker` beside the program. */
  readonly worker?: readonly string[] | undefined
  /** Argument of a `taskiq worker` beside the program. */
  readonly pythonWorker?: string | undefined
  /** The interpreter, where something is written in Python. */
  readonly python?: string | undefined
  /** Of all of them, besides the environment of the tests. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** A folder outside of the repository in which the built package is installed. */
export class Sandbox {
  readonly dir = mkdtempSync(join(tmpdir(), 'kiq-docs-'))
  readonly #children = new Set<ChildProcess>()

  constructor() {
    if (!existsSync(CLI)) throw new Error(`There is no ${CLI}. Run \`npm run build\` first.`)
    this.write('package.json', '{ "type": "module", "private": true }')
    this.write('tsconfig.json', JSON.stringify(TSCONFIG))
    mkdirSync(join(this.dir, 'node_modules'))
    symlinkSync(ROOT, join(this.dir, 'node_modules/kiq'))
    for (const name of INSTALLED) {
      symlinkSync(join(ROOT, 'node_modules', name), join(this.dir, 'node_modules', name))
    }
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.dir, path)), { recursive: true })
    writeFileSync(join(this.dir, path), text)
  }

  /** Type-checks every module at once. Resolves with what the compiler says, nothing when all is well. */
  async typeCheck(): Promise<string> {
    const { stdout, stderr } = await this.node('.', [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', '.'])
    return stdout + stderr
  }

  /** Runs Node in a folder of the sandbox; a TypeScript program as `npx tsx` would. */
  async node(folder: string, args: readonly string[], { env }: Pick<RunOptions, 'env'> = {}): Promise<Finished> {
    const child = this.#spawn(folder, args, env)
    const output = outputOf(child)
    // Before the test gives up: then there is something to show.
    const limit = setTimeout(() => child.kill('SIGKILL'), LONGEST_RUN_MS)
    const exitCode = await new Promise<number | null>((done) => child.once('close', done))
    clearTimeout(limit)
    return { exitCode, ...output }
  }

  /** Runs a program in TypeScript or Python, beside the workers that it asks for. */
  async run(folder: string, program: string, options: RunOptions = {}): Promise<Finished> {
    const { worker, pythonWorker, env } = options
    if (pythonWorker !== undefined) {
      const directory = join(this.dir, folder)
      const beside = await startPythonWorker({ python: interpreter(options), module: pythonWorker, directory, env })
      try {
        const finished = await this.run(folder, program, { ...options, pythonWorker: undefined })
        return withWords(finished, 'Python worker', beside.output)
      } finally {
        await beside.kill()
      }
    }
    if (worker === undefined) return await this.#program(folder, program, options)
    const child = this.#spawn(folder, [CLI, 'worker', ...worker], env)
    const output = outputOf(child)
    const ended = new Promise((done) => child.once('close', done))
    const finished = await this.#program(folder, program, options)
    child.kill('SIGTERM')
    await ended
    return withWords(finished, 'worker', output.stdout + output.stderr)
  }

  async #program(folder: string, program: string, options: RunOptions): Promise<Finished> {
    if (!program.endsWith('.py')) return await this.node(folder, ['--import', 'tsx', program], options)
    try {
      const cwd = join(this.dir, folder)
      const stdout = await runPython(interpreter(options), { file: program }, { cwd, env: options.env })
      return { exitCode: 0, stdout, stderr: '' }
    } catch (error) {
      return { exitCode: 1, stdout: '', stderr: String(error) }
    }
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    rmSync(this.dir, { recursive: true, force: true })
  }

  #spawn(folder: string, args: readonly string[], env: RunOptions['env'] = {}): ChildProcess {
    const child = spawn(process.execPath, args, {
      cwd: join(this.dir, folder),
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1', FORCE_COLOR: undefined, ...env },
    })
    this.#children.add(child)
    child.once('close', () => this.#children.delete(child))
    return child
  }
}

function interpreter({ python }: RunOptions): string {
  if (python === undefined) throw new Error('This program needs Python, and the test has not said which.')
  return python
}

/** What a worker had to say, where it may explain a failure. */
function withWords(finished: Finished, who: string, words: string): Finished {
  if (finished.exitCode === 0) return finished
  return { ...finished, stderr: `${finished.stderr}\nThe ${who} said:\n${words}` }
}

/** Grows while the process runs. */
function outputOf(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  return output
}

/**
 * The expected text with what was really printed in the place of each `<...>`, which stands for any text within a line:
 * equal to `actual` when that is as expected, and else made for a readable difference.
 */
export function fillIn(expected: string, actual: string): string {
  const actualLines = actual.trimEnd().split('\n')
  return expected
    .trimEnd()
    .split('\n')
    .map((line, index) => {
      const pattern = line
        .split('<...>')
        .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
        .join('.*')
      const printed = actualLines[index] ?? ''
      return new RegExp(`^${pattern}$`).test(printed) ? printed : line
    })
    .join('\n')
}
