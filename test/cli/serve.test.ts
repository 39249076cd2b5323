import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

import { afterEach, describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { isAlive, Project } from './kit.ts'
import type { LogRecord, Run } from './kit.ts'

const SOON = { timeoutMs: 15_000 }

/** A model that tells what it does in `events.jsonl`, and waits for files where a test decides. */
const MODULE = `
import { appendFileSync, existsSync } from 'node:fs'
import { InferencePipeline, InferenceService, loadServeConfig } from 'kiq/serve'

const note = (event, n) => appendFileSync('events.jsonl', JSON.stringify({ event, n, pid: process.pid, at: Date.now() }) + '\\n')

class Double extends InferencePipeline {
  async setup() {
    note('setup', 0)
    while (existsSync('slow-start') && !existsSync('gate-0')) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  preprocess(inputs) { return inputs.map(({ n }) => n) }
  async predict(_inputs, numbers) {
    for (const n of numbers) {
      note('start', n)
      while (n > 100 && !existsSync('gate-' + n)) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return numbers.map((n) => 2 * n)
  }
  postprocess(_inputs, numbers) { return numbers.map((doubled) => ({ status: 'success', doubled, pid: process.pid })) }
}

const input = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => typeof value?.n === 'number' ? { value } : { issues: [{ message: 'no number', path: ['n'] }] },
  },
}

export const service = new InferenceService({
  modelName: 'double', pipeline: Double, input, config: await loadServeConfig(process.env.NAMED_FILES),
})
`

const CONFIG = `
app_settings:
  app_prefix: maths
  auth_config: { api_keys: [hidden-1] }
model_settings:
  common: { password: hidden-2 }
  model_entries: { double: {} }
`

const FILES = { 'serve.mjs': MODULE, 'kiq.yaml': CONFIG }

let project: Project

afterEach(async () => {
  await project.end()
})

interface Serving {
  readonly run: Run
  readonly hello: LogRecord
  readonly predict: (n: number) => Promise<Record<string, unknown>>
}

async function serving(...args: readonly string[]): Promise<Serving> {
  const run = project.kiq('serve', 'serve.mjs', '--port', '0', '--log-format', 'json', ...args)
  const hello = await run.logged('The service answers requests.')
  return { run, hello, predict: async (n) => (await post(hello, '/predict_sync', { n })).json() as never }
}

async function post({ url }: LogRecord, path: string, body: unknown): Promise<Response> {
  return await fetch(`${String(url)}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': 'hidden-1' },
    body: JSON.stringify(body),
  })
}

async function outcome(run: Run): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const code = await run.exit
  return { code, stdout: run.stdout, stderr: run.stderr }
}

const text = (name: string): string => readFileSync(join(project.dir, name), 'utf8')

describe('kiq serve', () => {
  it('serves the models of a module in processes of their own, and stops when it is told to', async () => {
    project = new Project(FILES)
    const { run, hello, predict } = await serving()

    expect(hello).toMatchObject({
      service: 'maths-dev',
      docs: `${String(hello.url)}/docs`,
      models: ['double'],
      minWorkers: 1,
      maxWorkers: 1,
      jobsWorker: true,
    })
    expect(hello.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const { doubled, pid } = await predict(21)
    expect(doubled).toBe(42)
    expect(pid).not.toBe(run.pid)

    run.signal('SIGTERM')
    expect(await run.exit).toBe(0)
    expect(run.log.map(({ msg }) => msg).slice(-2)).toEqual(['Stopping (SIGTERM).', 'Stopped.'])
    expect(isAlive(pid as number)).toBe(false)
    expect(run.stdout + run.stderr).not.toContain('hidden')
  })

  it('lets requests finish that have begun', async () => {
    project = new Project(FILES)
    const { run, predict } = await serving()
    const answer = predict(101)
    await project.told('start')

    run.signal('SIGINT')
    await run.logged('Stopping')
    project.openGate(101)

    expect(await answer).toMatchObject({ status: 'success', doubled: 202 })
    expect(await run.exit).toBe(0)
  })

  it('cuts off what goes on for longer than it may', async () => {
    project = new Project(FILES)
    const { run, predict } = await serving('--drain-timeout', '200ms')
    const answer = predict(101).catch(() => 'cut off')
    const [started] = await project.told('start')

    run.signal('SIGTERM')

    expect(await run.exit).toBe(0)
    // Either answered as an error in time, or not at all.
    expect(await answer).not.toHaveProperty('doubled')
    await until(() => !isAlive(started?.pid ?? 0), SOON)
  })

  it('ends at once by a second signal, and its workers with it', async () => {
    project = new Project(FILES)
    const { run, predict } = await serving()
    const answer = predict(101).catch(() => 'cut off')
    const [started] = await project.told('start')

    run.signal('SIGTERM')
    await run.logged('Stopping')
    run.signal('SIGTERM')

    await run.gone
    expect(await run.exit).toBe(137)
    expect(await answer).toBe('cut off')
    await until(() => !isAlive(started?.pid ?? 0), SOON)
  })

  it('can be stopped while models load', async () => {
    project = new Project({ ...FILES, 'slow-start': '' })
    const run = project.kiq('serve', 'serve.mjs', '--port', '0', '--log-format', 'json')
    await project.told('setup')

    run.signal('SIGTERM')

    expect(await run.exit).toBe(0)
    expect(run.log.map(({ msg }) => msg)).toEqual(['Stopping (SIGTERM).', 'Stopped.'])
  })

  it('can be stopped while the module is loaded', async () => {
    const endless = `console.log('{"msg":"loading"}'); setInterval(() => {}, 1000); await new Promise(() => {})`
    project = new Project({ 'serve.mjs': endless })
    const run = project.kiq('serve', 'serve.mjs', '--log-format', 'json')
    await run.logged('loading')

    run.signal('SIGTERM')

    expect(await run.exit).toBe(0)
  })

  it('runs models in its own process with --in-process', async () => {
    project = new Project(FILES)
    const { run, hello, predict } = await serving('--in-process')

    expect(hello).toMatchObject({ inProcess: true })
    expect((await predict(1))['pid']).toBe(run.pid)
    run.signal('SIGTERM')
    expect(await run.exit).toBe(0)
  })

  it('has as many workers as --workers says', async () => {
    project = new Project(FILES)
    const { hello } = await serving('--workers', '2')

    expect(hello).toMatchObject({ minWorkers: 2, maxWorkers: 2 })
    expect(new Set((await project.told('setup', 2)).map(({ pid }) => pid)).size).toBe(2)
  })

  it('only accepts jobs with --no-jobs-worker', async () => {
    project = new Project(FILES)
    const { hello, predict } = await serving('--no-jobs-worker')

    const accepted = await post(hello, '/predict_async', { message: { n: 1 } })
    expect(accepted.status).toBe(202)
    const { job_id } = (await accepted.json()) as { job_id: string }
    // What comes later is done, and this is not.
    await predict(2)
    const headers = { 'x-api-key': 'hidden-1' }
    const job = await (await fetch(`${String(hello.url)}/jobs/${job_id}`, { headers })).json()
    expect(job).toMatchObject({ state: 'queued' })
    expect(project.events.filter(({ event }) => event === 'start').map(({ n }) => n)).toEqual([2])
  })

  it('loads TypeScript, from another folder', async () => {
    project = new Project({ 'app/serve.ts': `${MODULE}\nexport type Unused = string\n`, 'kiq.yaml': CONFIG })
    const run = project.kiq('serve', 'serve.ts:service', '-d', 'app', '--port', '0', '--log-format', 'json')
    const hello = await run.logged('The service answers requests.')

    const answer = await post(hello, '/predict_sync', { n: 2 })
    expect(await answer.json()).toMatchObject({ doubled: 4 })
  })

  it('shows people what it serves, and warns of an open door', async () => {
    project = new Project({ ...FILES, 'kiq.yaml': CONFIG.replace('[hidden-1]', '[]') })
    const run = project.kiq('serve', 'serve.mjs', '--host', '0.0.0.0', '--port', '0', '--log-format', 'pretty')

    await until(() => run.stdout.includes('There are no API keys'), SOON)
    expect(run.stdout).toMatch(
      /service {2}maths-dev\n[^]*docs {5}http:\/\/0\.0\.0\.0:\d+\/docs\n[^]*models {3}double\n/,
    )
    expect(run.stdout).toMatch(/workers {2}1 process\(es\) for a model\n/)
  })

  it('takes its settings from --config, also in worker processes', async () => {
    project = new Project({ 'serve.mjs': MODULE, 'a.yaml': CONFIG, 'b.yaml': 'app_settings: { app_prefix: other }\n' })
    const { hello, predict } = await serving('--config', 'a.yaml,b.yaml')

    expect(hello['service']).toBe('other-dev')
    expect((await predict(3))['doubled']).toBe(6)
  })

  it('says so when a module reads settings of its own instead', async () => {
    const named = MODULE.replace('process.env.NAMED_FILES', "'kiq.yaml'")
    project = new Project({ ...FILES, 'serve.mjs': named, 'a.yaml': CONFIG })
    const { code, stderr } = await outcome(project.kiq('serve', 'serve.mjs', '--config', 'a.yaml'))

    expect(code).toBe(2)
    expect(stderr).toContain('--config names a.yaml, but the module has read kiq.yaml')
  })

  it.each([
    [
      'serve.mjs:servce',
      'exports nothing named "servce" (exports: service, other, text). Did you mean serve.mjs:service?',
    ],
    ['serve.mjs:text', 'The export "text" of serve.mjs is a string, not a service. Name an InferenceService.'],
    ['serve.mjs', 'serve.mjs exports 2 services: '],
    ['none.mjs', 'none.mjs exports no service (exports: nothing). Export one'],
    ['nowhere.mjs', 'There is no module nowhere.mjs'],
  ])('says which service of %s it cannot serve', async (target, message) => {
    const more = `
export const other = new InferenceService({ modelName: 'double', pipeline: Double, input, config: await loadServeConfig() })
export const text = ''
`
    const exported = MODULE.replace('export const service', 'const made')
    const reordered = `${exported}\nexport { made as service }\n${more}`
    project = new Project({ ...FILES, 'serve.mjs': reordered, 'none.mjs': 'export {}' })
    const { code, stderr } = await outcome(project.kiq('serve', target))

    expect(code).toBe(2)
    expect(sorted(stderr)).toContain(sorted(message))
  })

  it('refuses flags that contradict each other, and a call without a module', async () => {
    project = new Project(FILES)
    const both = await outcome(project.kiq('serve', 'serve.mjs', '--in-process', '--workers', '2'))
    const none = await outcome(project.kiq('serve'))

    expect(both.code).toBe(2)
    expect(both.stderr).toContain("option '--workers <count>' cannot be used with option '--in-process'")
    expect(none.code).toBe(2)
    expect(none.stderr).toContain("missing required argument 'module[:service]'")
  })

  it('says why a model cannot be loaded', async () => {
    project = new Project({
      ...FILES,
      'serve.mjs': MODULE.replace("note('setup', 0)", "throw new Error('no weights')"),
    })
    const { code, stderr } = await outcome(project.kiq('serve', 'serve.mjs', '--port', '0'))

    expect(code).toBe(1)
    expect(stderr).toContain('no weights')
  })

  it('says when its port is taken', async () => {
    project = new Project(FILES)
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    try {
      const { code, stderr } = await outcome(project.kiq('serve', 'serve.mjs', '--port', String(port)))
      expect(code).toBe(2)
      expect(stderr).toContain(`cannot listen at 127.0.0.1, port ${port}`)
    } finally {
      taken.close()
    }
  })
})

describe('kiq serve --print-config', () => {
  it('prints the settings with their origins, without secrets', async () => {
    project = new Project({ ...FILES, 'more.yaml': 'app_settings: { batch_config: { wait_ms: 7 } }\n' })
    const { code, stdout } = await outcome(
      project.kiq('serve', '--print-config', '--config', 'kiq.yaml', '--config', 'more.yaml'),
    )

    expect(code).toBe(0)
    expect(stdout).toContain('# maths-dev: kiq.yaml, more.yaml')
    expect(stdout).toContain('wait_ms: 7 # more.yaml:1:42')
    expect(stdout).not.toContain('hidden')
  })

  it('prints those of a service where a module is named', async () => {
    project = new Project({ ...FILES, 'serve.mjs': MODULE.replace('process.env.NAMED_FILES', `'other.yaml'`) })
    project.write({ 'other.yaml': CONFIG.replace('maths', 'own') })
    const { code, stdout } = await outcome(project.kiq('serve', 'serve.mjs', '--print-config'))

    expect(code).toBe(0)
    expect(stdout).toContain('# own-dev: other.yaml')
  })

  it('lists every problem with its place', async () => {
    project = new Project({ 'kiq.yaml': 'app_settings:\n  batch_config: { wait_ms: soon, max_batch_size: 0 }\n' })
    const { code, stdout, stderr } = await outcome(project.kiq('serve', '--print-config'))

    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain('kiq: KIQ_CONFIG_INVALID: The configuration has')
    expect(stderr).toContain('kiq.yaml:2:28: app_settings.batch_config.wait_ms is "soon"')
    expect(stderr).toContain('kiq.yaml:2:50: app_settings.batch_config.max_batch_size is 0')
    expect(stderr).toContain('app_settings.app_prefix is missing')
  })
})

describe('kiq serve manifest', () => {
  const NAMES = ['Dockerfile', '.dockerignore', 'compose.yaml', 'kubernetes.yaml']

  it('writes the files, and lists them', async () => {
    project = new Project(FILES)
    const { code, stdout } = await outcome(project.kiq('serve', 'manifest', 'serve.mjs:service'))

    expect(code).toBe(0)
    expect(stdout.trim().split('\n')).toEqual(NAMES)
    expect(text('Dockerfile')).toContain('"serve","./serve.mjs:service","--host","0.0.0.0"')
    for (const name of NAMES) expect(text(name)).not.toContain('hidden')
  })

  it('overwrites nothing without --force', async () => {
    project = new Project({ ...FILES, 'pnpm-lock.yaml': '' })
    expect((await outcome(project.kiq('serve', 'manifest', 'serve.mjs'))).code).toBe(0)
    const again = await outcome(project.kiq('serve', 'manifest', 'serve.mjs'))
    expect(again).toMatchObject({ code: 0, stdout: NAMES.map((name) => `${name} (unchanged)\n`).join('') })

    project.write({ Dockerfile: 'mine' })
    const refused = await outcome(project.kiq('serve', 'manifest', 'serve.mjs'))
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('KIQ_CONFIG_INVALID: Dockerfile would be overwritten; nothing was written.')
    expect(text('Dockerfile')).toBe('mine')

    expect((await outcome(project.kiq('serve', 'manifest', 'serve.mjs', '--force'))).code).toBe(0)
    expect(text('Dockerfile')).toContain('pnpm install --prod --frozen-lockfile')
  })

  it('writes to another folder, for settings of other files', async () => {
    project = new Project({ ...FILES, 'prod.yaml': CONFIG.replace('maths', 'prod') })
    const { code, stdout } = await outcome(
      project.kiq('serve', 'manifest', 'serve.mjs', '--out', 'ops/prod', '--config', 'prod.yaml'),
    )

    expect(code).toBe(0)
    expect(stdout).toContain('ops/prod/Dockerfile.dockerignore\n')
    expect(text('ops/prod/compose.yaml')).toContain('name: prod-dev')
    expect(text('ops/prod/Dockerfile')).toContain('ENV KIQ_CONFIG="prod.yaml"')
    expect(existsSync(join(project.dir, 'Dockerfile'))).toBe(false)
  })

  it('refuses what would not be in the image, and where it cannot write', async () => {
    project = new Project({ ...FILES, file: '' })
    const blocked = await outcome(project.kiq('serve', 'manifest', 'serve.mjs', '--out', 'file/below'))
    expect(blocked.code).toBe(2)
    const other = new Project(FILES)
    try {
      const outside = await outcome(project.kiq('serve', 'manifest', join(other.dir, 'serve.mjs')))
      expect(outside.code).toBe(2)
      expect(outside.stderr).toContain('so it would not be in the image')
    } finally {
      await other.end()
    }
    expect(blocked.stderr).toMatch(/The files cannot be written to .*\/file\/below: ENOTDIR/)

    project.write({
      'deployment.yaml': `${CONFIG}app_postfix: ""\n`.replace(
        'auth_config',
        'build_config: { tag: "a b" }\n  auth_config',
      ),
    })
    const bad = await outcome(project.kiq('serve', 'manifest', 'serve.mjs', '--config', 'deployment.yaml'))
    expect(bad.code).toBe(2)
    expect(bad.stderr).toContain('deployment.yaml:4:24: app_settings.build_config.tag is "a b"')
  })
})

/** Exports come in the order of their names, or not. */
function sorted(message: string): string {
  return message.replace(
    /\(exports: ([^)]*)\)/,
    (_all, names: string) => `(exports: ${names.split(', ').sort().join()})`,
  )
}
