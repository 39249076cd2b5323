import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from 'vitest'

// @ts-expect-error JavaScript without declarations
import * as files from '../../demo/files.mjs'
// @ts-expect-error JavaScript without declarations
import * as report from '../../demo/report.mjs'

const DEMO = resolve(import.meta.dirname, '../../demo')

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kiq demo '))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function write(contents: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(contents)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

const CODE = 'export const answer = 42 // the answer to everything\n'.repeat(3)

/** An outcome of the file, whose task ended with that language. */
function outcome(path: string, language: string, { attempt = 1, labels = {}, latencyMs = 10, doneAt = 0 } = {}) {
  const result = { isErr: false, returnValue: { path, language, attempt }, labels }
  return { file: files.describe(path), taskId: path, result, latencyMs, doneAt }
}

const failure = { isErr: true, error: { name: 'Error', message: 'gone' }, labels: {} }

describe('the choice of files', () => {
  it.each([
    ['src/index.js', '.js', 'code'],
    ['types/index.d.mts', '.d.ts', 'code'],
    ['README.MD', '.md', 'prose'],
    ['style.scss', '.scss', 'code'],
  ])('takes %s as %s', (path, extension, kind) => {
    expect(files.describe(path)).toEqual({ path, extension, kind })
  })

  it.each(['lib.min.js', 'LICENSE', 'logo.png', '.gitignore'])('leaves %s out', (path) => {
    expect(files.describe(path)).toBeUndefined()
  })

  it('takes turns between the extensions, in the same order at every run', () => {
    const all = ['1.js', '2.js', '3.js', '4.js', 'a.css', 'b.css', 'x.py'].map(files.describe)

    const first = files.spread(all)

    expect(first.map(({ extension }: { extension: string }) => extension).join(' ')).toBe(
      '.css .js .py .css .js .js .js',
    )
    expect(new Set(first)).toEqual(new Set(all))
    expect(files.spread(all)).toEqual(first)
  })

  it('passes over what nobody wrote by hand, and what lies in node_modules', async () => {
    write({
      'a b/good.js': CODE,
      'good.md': CODE,
      'tiny.js': '1',
      'huge.js': CODE.repeat(1_000),
      'minified.js': 'a=1;'.repeat(1_000),
      'binary.js': CODE + '\0',
      'node_modules/other/index.js': CODE,
    })

    const chosen = await files.chooseFiles(folder, 10)

    expect(chosen.map(({ path }: { path: string }) => path).sort()).toEqual([
      join(folder, 'a b/good.js'),
      join(folder, 'good.md'),
    ])
    expect(await files.chooseFiles(folder, 1)).toHaveLength(1)
  })

  it('reads no more than the beginning of a file', async () => {
    write({ 'long.txt': 'é'.repeat(10_000) })

    expect(await files.readHead(join(folder, 'long.txt'))).toBe('é'.repeat(4_096))
  })
})

describe('the table of languages', () => {
  it('compares with the extension where it says something', () => {
    const [code, prose, [total]] = report.languageRows([
      ...['a.js', 'b.mjs', 'c.cjs', 'd.ts'].map((path) => outcome(path, 'js')),
      ...['a.ts', 'b.d.ts'].map((path) => outcome(path, 'ts')),
      ...[outcome('a.h', 'c'), outcome('b.h', 'cpp')],
      ...['a.css', 'b.scss'].map((path) => outcome(path, 'css')),
      ...[outcome('e.js', 'dart'), outcome('f.js', 'pas')],
      outcome('README.md', 'eng'),
      { ...outcome('broken.js', 'js'), result: failure },
    ])

    expect(code).toEqual([
      { name: 'JavaScript', files: 4, agreed: 3, compared: 4, extensions: '.js 1  .mjs 1  .cjs 1  …' },
      { name: 'TypeScript', files: 2, agreed: 2, compared: 2, extensions: '.ts 1  .d.ts 1' },
      { name: 'CSS', files: 2, agreed: 1, compared: 1, extensions: '.css 1  .scss 1' },
      { name: 'C', files: 1, agreed: 1, compared: 1, extensions: '.h 1' },
      { name: 'C++', files: 1, agreed: 1, compared: 1, extensions: '.h 1' },
      { name: '2 others', files: 2, agreed: 0, compared: 2, extensions: '.js 2' },
    ])
    expect(prose).toEqual([{ name: 'English', files: 1, agreed: 0, compared: 0, extensions: '.md 1' }])
    expect(total).toEqual({ name: 'total', files: 13, agreed: 8, compared: 11, extensions: '9 extensions' })
  })

  it('says what it did not compare', () => {
    const text = report.languageTable([outcome('a.js', 'js'), outcome('b.scss', 'css'), outcome('README.md', 'eng')])

    expect(text).toMatch(/JavaScript │ +1 │ \.js 1 +│ +1 of 1 +100\.0 %/)
    expect(text.split('\n').at(-1)).toBe('Not compared, being unknown to the model: .scss')
  })
})

describe('the numbers', () => {
  const outcomes = [
    outcome('a.js', 'js', { doneAt: 1_000, latencyMs: 10 }),
    outcome('b.js', 'js', { doneAt: 3_500, latencyMs: 30, attempt: 2 }),
    outcome('c.js', 'js', { doneAt: 2_500, latencyMs: 20, attempt: 2 }),
    outcome('d.md', 'eng', { attempt: 3, labels: { _retries: 2 } }),
  ]

  it('tells redeliveries from retries', () => {
    const { executions, retries, redelivered } = report.executionCounts(outcomes)

    expect({ executions, retries, redelivered: redelivered.length }).toEqual({
      executions: 8,
      retries: 2,
      redelivered: 2,
    })
  })

  it('takes the time of recovery from the first task that was redelivered', () => {
    const lines = report.summaryLines({ outcomes, seconds: 2, kill: { at: 2_000, restartedAt: 3_000 } })

    expect(lines).toEqual([
      'tasks       4 in 2.0 s: 2 per second',
      'latency     p50 10 ms, p99 30 ms, from kiq() to the result',
      'executions  8: 2 redelivered after the kill, 2 retried after errors',
      'recovery    first redelivered result after 0.50 s, new process after 1.00 s',
    ])
  })

  it('says nothing of a kill that was none', () => {
    const lines = report.summaryLines({ outcomes: [outcome('a.js', 'js')], seconds: 1, kill: undefined })

    expect(lines.join('\n')).not.toMatch(/kill|recovery/)
  })

  it.each([
    [[], 50, 0],
    [[5], 99, 5],
    [[3, 1, 2, 4], 50, 2],
    [[3, 1, 2, 4], 99, 4],
  ])('percentile of %j at %i is %i', (values, percentage, expected) => {
    expect(report.percentile(values, percentage)).toBe(expected)
  })
})

describe('the account', () => {
  const two = [files.describe('a.js'), files.describe('b.js')]
  const result = (path: string) => outcome(path, 'js').result
  const empty = { queue: 'taskiq', ready: 0, delayed: 0, running: 0, dead: 0 }

  it('is content with one result for each file', () => {
    expect(report.complaints({ files: two, results: [result('b.js'), result('a.js')], queues: [empty] })).toEqual([])
  })

  it.each([
    [[result('a.js'), undefined], '1 file(s) have no result:\n  b.js'],
    [[result('a.js'), result('b.js'), result('b.js')], '1 file(s) have more than one result:\n  b.js'],
    [[result('a.js'), result('b.js'), result('c.js')], '1 result(s) belong to no file:\n  c.js'],
    [[result('a.js'), failure], '1 task(s) failed:\n  Error: gone\n1 file(s) have no result:\n  b.js'],
  ])('%# says what is wrong', (results, expected) => {
    expect(report.complaints({ files: two, results }).join('\n')).toBe(expected)
  })

  it('says what is left in a queue', () => {
    const complaints = report.complaints({ files: [], results: [], queues: [{ ...empty, dead: 1 }] })

    expect(complaints[0]).toBe('1 queue(s) are not empty:')
    expect(complaints[1]).toContain('"dead":1')
  })

  it('names the first five only', () => {
    const many = Array.from({ length: 7 }, (_, index) => files.describe(`${index}.js`))

    const complaints = report.complaints({ files: many, results: [] })

    expect(complaints).toHaveLength(7)
    expect(complaints.at(-1)).toBe('  … 2 more')
  })
})

describe('npm run demo', () => {
  /** Runs the demo with a folder of its own for temporary files. */
  async function demo(args: readonly string[], { stopAt }: { readonly stopAt?: string } = {}) {
    const temporary = join(folder, 'tmp')
    mkdirSync(temporary)
    const child = spawn(process.execPath, [join(DEMO, 'main.mjs'), ...args], {
      env: { ...process.env, TMPDIR: temporary, TEMP: temporary },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (stopAt !== undefined && output.includes(stopAt)) child.kill('SIGTERM')
      })
    }
    const exitCode = await new Promise((done) => child.once('close', done))
    return { exitCode, output, left: readdirSync(temporary) }
  }

  it('has one result for each file, though a worker was killed', async () => {
    const { exitCode, output, left } = await demo(['--files', '60'])

    expect(output).toMatch(/^kill -9 \d+: worker [12] of 2; \d tasks? w(as|ere) running there$/m)
    expect(output).toMatch(/│ total +│ +60 │/)
    expect(output).toMatch(/^executions +\d+: \d+ redelivered after the kill/m)
    expect(output).toMatch(/^results +60: exactly one for each file/m)
    expect(exitCode).toBe(0)
    expect(left).toEqual([])
  }, 120_000)

  it('takes a folder, kills nobody for a few files', async () => {
    write({ 'sources here/a b.js': CODE })

    const { exitCode, output } = await demo([join(folder, 'sources here')])

    expect(output).toContain('no worker is killed this time')
    expect(output).toMatch(/^results +1: exactly one/m)
    expect(exitCode).toBe(0)
  }, 60_000)

  it('leaves nothing behind when it is stopped', async () => {
    const { exitCode, output, left } = await demo(['--files', '400'], { stopAt: 'files/s' })

    expect(output).toContain('Terminated.')
    expect(exitCode).toBe(143)
    expect(left).toEqual([])
  }, 60_000)

  it.each([
    [['/there/is/none'], 'There is no folder /there/is/none.'],
    [['--files', '0'], '--files takes a whole number, not 0.'],
    [['--fast'], "Unknown option '--fast'"],
  ])('refuses %j', async (args, message) => {
    const { exitCode, output, left } = await demo(args)

    expect(output).toContain(message)
    expect(exitCode).toBe(2)
    expect(left).toEqual([])
  })

  it('says when a folder holds nothing of use', async () => {
    write({ 'empty/logo.png': CODE })

    const { exitCode, output } = await demo([join(folder, 'empty')])

    expect(output).toContain('holds no suitable file')
    expect(exitCode).toBe(2)
  })
})
