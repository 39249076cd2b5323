import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

export const ROOT = resolve(import.meta.dirname, '../..')
const CLI = join(ROOT, 'dist/cli/main.js')

const LONGEST_RUN_MS = 45_000

/** What a user of the package may have installed beside it. */
const INSTALLED = ['@photostructure', '@types', 'cbor-x', 'msgpackr', 'tsx', 'typescript', 'valibot', 'vitest', 'zod']

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
  async node(folder: string, args: readonly string[]): Promise<Finished> {
    const child = this.#spawn(folder, args)
    const output = outputOf(child)
    // Before the test gives up: then there is something to show.
    const limit = setTimeout(() => child.kill('SIGKILL'), LONGEST_RUN_MS)
    const exitCode = await new Promise<number | null>((done) => child.once('close', done))
    clearTimeout(limit)
    return { exitCode, ...output }
  }

  /** Runs a program, beside `kiq worker` with these arguments if there are any. */
  async run(folder: string, program: string, worker: readonly string[] | undefined): Promise<Finished> {
    if (worker === undefined) return await this.node(folder, ['--import', 'tsx', program])
    const child = this.#spawn(folder, [CLI, 'worker', ...worker])
    const workerOutput = outputOf(child)
    const ended = new Promise((done) => child.once('close', done))
    const finished = await this.node(folder, ['--import', 'tsx', program])
    child.kill('SIGTERM')
    await ended
    if (finished.exitCode === 0) return finished
    return { ...finished, stderr: `${finished.stderr}\nThe worker said:\n${workerOutput.stdout}${workerOutput.stderr}` }
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    rmSync(this.dir, { recursive: true, force: true })
  }

  #spawn(folder: string, args: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, args, {
      cwd: join(this.dir, folder),
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1', FORCE_COLOR: undefined },
    })
    this.#children.add(child)
    child.once('close', () => this.#children.delete(child))
    return child
  }
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
