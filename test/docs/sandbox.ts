import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

import { diesWithTests } from '../support/dies-with-tests.ts'
import { runPython, startPythonWorker } from '../support/python.ts'
import { freePort, isReady } from './served-module.ts'

export const ROOT = resolve(import.meta.dirname, '../..')
const CLI = join(ROOT, 'dist/cli/main.js')

const LONGEST_RUN_MS = 45_000

/** What a user of the package may have installed beside it. */
const INSTALLED = [
  '@photostructure',
  '@ricky0123',
  '@types',
  '@vscode',
  'awilix',
  'cbor-x',
  'ioredis',
  'msgpackr',
  'onnxruntime-node',
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
  /** Arguments of a `kiq serve` beside the program. */
  readonly serve?: readonly string[] | undefined
  /** Argument of a `taskiq worker` beside the program. */
  readonly pythonWorker?: string | undefined
  /** The interpreter, where something is written in Python. */
  readonly python?: string | undefined
  /** Of all of them, besides the environment of the tests. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

interface ProgramOptions extends RunOptions {
  /** Where the server beside it listens. */
  readonly port?: number | undefined
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
    mkdirSync(join(this.dir, 'node_modules/.bin'))
    symlinkSync(CLI, join(this.dir, 'node_modules/.bin/kiq'))
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
    return await finished(this.#spawn(folder, [process.execPath, ...args], env))
  }

  /** Runs a program in TypeScript or Python, or commands of a shell, beside the workers and the server that it asks for. */
  async run(folder: string, program: string, options: ProgramOptions = {}): Promise<Finished> {
    const { worker, serve, pythonWorker, env } = options
    if (pythonWorker !== undefined) {
      const directory = join(this.dir, folder)
      const beside = await startPythonWorker({ python: interpreter(options), module: pythonWorker, directory, env })
      try {
        const outcome = await this.run(folder, program, { ...options, pythonWorker: undefined })
        return withWords(outcome, 'Python worker', beside.output)
      } finally {
        await beside.kill()
      }
    }
    if (serve !== undefined) return await this.#beside(folder, program, { ...options, serve })
    if (worker === undefined) return await this.#program(folder, program, options)
    const child = this.#spawn(folder, [process.execPath, CLI, 'worker', ...worker], env)
    const output = outputOf(child)
    const ended = new Promise((done) => child.once('close', done))
    const outcome = await this.#program(folder, program, options)
    child.kill('SIGTERM')
    await ended
    return withWords(outcome, 'worker', output.stdout + output.stderr)
  }

  /** Runs a program beside a server. */
  async #beside(
    folder: string,
    program: string,
    options: RunOptions & { readonly serve: readonly string[] },
  ): Promise<Finished> {
    const { serve, ...others } = options
    const port = await freePort()
    const env = { ...options.env, KIQ_APP_SETTINGS__HTTP_CONFIG__PORT: String(port) }
    const child = this.#spawn(folder, [process.execPath, CLI, 'serve', ...serve], env)
    const output = outputOf(child)
    const ended = finished(child)
    try {
      const words = (): string => output.stdout + output.stderr
      if (!(await isReady(port, ended))) {
        return { exitCode: 1, stdout: '', stderr: `The server did not become ready:\n${words()}` }
      }
      const outcome = await this.run(folder, program, { ...others, serve: undefined, port })
      return withWords(outcome, 'server', words())
    } finally {
      child.kill('SIGTERM')
      await ended
    }
  }

  async #program(folder: string, program: string, options: ProgramOptions): Promise<Finished> {
    if (program.endsWith('.sh')) return await this.#commands(folder, program, options)
    if (!program.endsWith('.py')) return await this.node(folder, ['--import', 'tsx', program], options)
    try {
      const cwd = join(this.dir, folder)
      const stdout = await runPython(interpreter(options), { file: program }, { cwd, env: options.env })
      return { exitCode: 0, stdout, stderr: '' }
    } catch (error) {
      return { exitCode: 1, stdout: '', stderr: String(error) }
    }
  }

  async #commands(folder: string, program: string, { env, port }: ProgramOptions): Promise<Finished> {
    const code = readFileSync(join(this.dir, folder, program), 'utf8')
    const here = port === undefined ? code : code.replaceAll('localhost:8000', `127.0.0.1:${port}`)
    return await finished(this.#spawn(folder, ['bash', '-euc', here], env))
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    rmSync(this.dir, { recursive: true, force: true })
  }

  #spawn(folder: string, [command = '', ...args]: readonly string[], env: RunOptions['env'] = {}): ChildProcess {
    const child = spawn(command, args, {
      cwd: join(this.dir, folder),
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1', FORCE_COLOR: undefined, ...env },
    })
    diesWithTests(child)
    this.#children.add(child)
    child.once('close', () => this.#children.delete(child))
    return child
  }
}

/** Resolves when it has ended, by itself or because it took too long. */
async function finished(child: ChildProcess): Promise<Finished> {
  const output = outputOf(child)
  // Before the test gives up: then there is something to show.
  const limit = setTimeout(() => child.kill('SIGKILL'), LONGEST_RUN_MS)
  const exitCode = await new Promise<number | null>((done) => child.once('close', done))
  clearTimeout(limit)
  return { exitCode, ...output }
}

function interpreter({ python }: RunOptions): string {
  if (python === undefined) throw new Error('This program needs Python, and the test has not said which.')
  return python
}

/** What a worker had to say, where it may explain a failure. */
function withWords(outcome: Finished, who: string, words: string): Finished {
  return { ...outcome, stderr: `${outcome.stderr}\nThe ${who} said:\n${words}` }
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
