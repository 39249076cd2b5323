import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { threadId } from 'node:worker_threads'

import type { Logger, TaskResult, WorkerOptions } from 'kiq'
import { silentLogger, SimpleRetryMiddleware, Worker } from 'kiq'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import type { Place } from './tasks.ts'
import { broker, lost, tasks } from './tasks.ts'

// Against the built package: threads and processes load `dist`.
const ROOT = resolve(import.meta.dirname, '../..')
const PATIENT = { timeout: '20s' }
const soon = { timeoutMs: 20_000 }

const workers: Worker[] = []

async function work(options: WorkerOptions = {}): Promise<Worker> {
  const worker = new Worker(broker, { abortGrace: 100, ...options })
  workers.push(worker)
  await worker.start()
  return worker
}

function errorOf(result: TaskResult): { name: string; message: string; code?: string | undefined } {
  if (!result.isErr) throw new Error(`The task succeeded with ${JSON.stringify(result.returnValue)}.`)
  return result.error
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

beforeAll(async () => {
  await broker.startup()
})

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop({ running: 'abort' })))
})

afterAll(async () => {
  await broker.shutdown()
})

describe.each(['thread', 'process'] as const)('a task with isolate: %s', (kind) => {
  const task = tasks[kind]

  it('runs elsewhere, and returns what it returns', async () => {
    await work()

    expect(await (await task.add.kiq(1, 2)).result(PATIENT)).toBe(3)
    expect(await (await task.later.kiq({ a: [1, null, 'é'] })).result(PATIENT)).toEqual({ a: [1, null, 'é'] })
    expect(await (await task.record.kiq({ n: 1 })).result(PATIENT)).toBe(2)
    const place = await (await task.where.kiq()).result(PATIENT)
    if (kind === 'thread') {
      expect(place).toMatchObject({ pid: process.pid, isMainThread: false })
      expect(place.threadId).not.toBe(threadId)
    } else {
      expect(place).toMatchObject({ isMainThread: true })
      expect(place.pid).not.toBe(process.pid)
    }
  })

  it('is still a function, which runs here', () => {
    expect(task.where()).toMatchObject({ pid: process.pid, threadId })
  })

  it('returns values of every kind as other tasks do', async () => {
    await work()

    expect(await (await task.clone.kiq()).result(PATIENT)).toEqual({
      big: 2n ** 70n + 1n,
      date: '1970-01-01T00:00:00.000Z',
      set: [1],
      map: { a: 1 },
    })
  })

  it('takes and returns ten megabytes', async () => {
    await work()
    const text = 'abcdefghij'.repeat(500_000)

    expect(await (await task.large.kiq(text)).result(PATIENT)).toBe(text + text)
  })

  it('fails for a value that cannot leave it, and the next one runs', async () => {
    await work({ concurrency: 1 })

    const sent = await task.unclonable.kiq()

    expect((await sent.waitResult(PATIENT)).isErr).toBe(true)
    expect(await (await task.add.kiq(1, 2)).result(PATIENT)).toBe(3)
  })

  it('fails with name, message, code, cause and stack of what it throws', async () => {
    await work()

    const result = await (await task.fail.kiq()).waitResult(PATIENT)

    expect(result).toMatchObject({
      isErr: true,
      error: {
        name: 'RangeError',
        message: 'too far',
        args: ['too far'],
        code: 'E_FAR',
        cause: { name: 'TypeError', message: 'the reason' },
      },
    })
    expect(result.isErr && result.error.stack).toContain('tasks.ts')
  })

  it('fails with text that it throws', async () => {
    await work()

    expect(errorOf(await (await task.failText.kiq()).waitResult(PATIENT)).message).toBe('just text')
  })

  it('reports progress', async () => {
    await work()
    const sent = await task.progress.kiq()

    expect(await sent.result(PATIENT)).toEqual([null, { state: 'HALF', meta: { pct: 50 } }])
    expect(await sent.getProgress()).toEqual({ state: 'HALF', meta: { pct: 50 } })
  })

  it('logs through the worker, with errors as data', async () => {
    const lines: [object, string][] = []
    const logger: Logger = { ...silentLogger, warn: (fields, message) => void lines.push([fields, message]) }
    broker.withLogger(logger)
    await work()
    const sent = await task.log.kiq()
    await sent.result(PATIENT)
    broker.withLogger(silentLogger)

    expect(lines).toEqual([
      [
        {
          taskId: sent.taskId,
          taskName: `${kind}.log`,
          attempt: 1,
          n: 1,
          error: expect.objectContaining({ name: 'Error', message: 'x' }) as object,
          fn: expect.any(String) as string,
        },
        'said in isolation',
      ],
    ])
  })

  it('has a context: message, labels, attempt after retries, state of its own', async () => {
    await work()
    const sent = await task.facts.kicker().withLabels({ a: 1, flag: true }).kiq(7)

    const facts = await sent.result(PATIENT)

    expect(facts).toMatchObject({
      attempt: 3,
      taskId: sent.taskId,
      taskName: `${kind}.facts`,
      labels: { a: 1, flag: true, _retries: 2 },
      args: [7],
      isAcked: false,
    })
    expect(facts.model).toBe(`loaded in ${facts.pid}/${facts.threadId}`)
  })

  it('steers: reject, requeue, ack', async () => {
    await work()

    expect(errorOf(await (await task.reject.kiq()).waitResult(PATIENT))).toMatchObject({
      code: 'KIQ_TASK_REJECTED',
      message: 'not for us',
    })
    expect(await (await task.requeue.kiq()).result(PATIENT)).toBe('second')
    expect(await (await task.ack.kiq()).result(PATIENT)).toBe(true)
  })

  it('is kept for the next task', async () => {
    await work({ concurrency: 1 })
    const first = await (await task.count.kiq()).result(PATIENT)

    const second = await (await task.count.kiq()).result(PATIENT)

    expect(second).toEqual({ ...first, calls: first.calls + 1 })
  })

  it('is kept after a failure too', async () => {
    await work({ concurrency: 1 })
    const first = await (await task.count.kiq()).result(PATIENT)
    await (await task.fail.kiq()).waitResult(PATIENT)
    await (await task.reject.kiq()).waitResult(PATIENT)

    expect(await (await task.count.kiq()).result(PATIENT)).toEqual({ ...first, calls: first.calls + 1 })
  })

  it('runs one task at a time, and many beside each other', async () => {
    await work({ concurrency: 3 })

    const sent = await task.cooperative.kiqMany([[], [], []])
    const places = await Promise.all(
      sent.map((one) => until(async () => (await one.getProgress())?.meta as Place | undefined, soon)),
    )
    await Promise.all(sent.map((one) => one.cancel()))
    await Promise.all(sent.map((one) => one.waitResult(PATIENT)))

    expect(new Set(places.map(({ pid, threadId: id }) => `${pid}/${id}`)).size).toBe(3)
  })

  it('is told of a timeout, and may clean up', async () => {
    await work({ abortGrace: '10s' })
    await (await task.add.kiq(1, 2)).result(PATIENT)
    const sent = await task.cooperative.kicker().withTimeout(500).kiq()

    expect(errorOf(await sent.waitResult(PATIENT))).toMatchObject({ code: 'KIQ_TASK_TIMED_OUT', name: 'TimeoutError' })
    expect(await sent.getProgress()).toEqual({ state: 'ABORTED', meta: { code: 'KIQ_TASK_TIMED_OUT' } })
  })

  it.each(['spin', 'deaf'] as const)(
    'is killed on timeout when it does not listen (%s), and its slot is free',
    async (name) => {
      await work({ concurrency: 1 })
      const sent = await task[name].kicker().withTimeout(300).kiq()
      const next = await task.add.kiq(1, 2)

      expect(errorOf(await sent.waitResult(PATIENT))).toMatchObject({
        code: 'KIQ_TASK_TIMED_OUT',
        name: 'TimeoutError',
      })
      expect(await next.result(PATIENT)).toBe(3)
    },
  )

  it('is killed on cancel while it spins, and its slot is free', async () => {
    await work({ concurrency: 1 })
    const sent = await task.spin.kiq()
    const { pid } = await until(async () => (await sent.getProgress())?.meta as Place | undefined, soon)

    expect(await sent.cancel()).toBe(true)

    expect(errorOf(await sent.waitResult(PATIENT)).code).toBe('KIQ_TASK_CANCELLED')
    expect(await (await task.add.kiq(1, 2)).result(PATIENT)).toBe(3)
    if (kind === 'process') await until(() => !isAlive(pid), soon)
  })

  it('is killed when the worker stops, and handed back', async () => {
    const worker = await work({ waitTasksTimeout: 10 })
    const sent = await task.spin.kiq()
    const { pid } = await until(async () => (await sent.getProgress())?.meta as Place | undefined, soon)

    await worker.stop()

    expect(await sent.isReady()).toBe(false)
    expect((await broker.transport.inspect?.())?.[0]).toMatchObject({ ready: 1, running: 0 })
    if (kind === 'process') expect(isAlive(pid)).toBe(false)
    expect(await sent.cancel()).toBe(true)
  })

  it('that ends its process or thread is KIQ_ISOLATE_DIED, and the next one runs', async () => {
    await work({ concurrency: 1 })
    const sent = await task.exit.kiq()

    expect(errorOf(await sent.waitResult(PATIENT))).toMatchObject({
      code: 'KIQ_ISOLATE_DIED',
      message: expect.stringContaining('exit code 3') as string,
    })
    expect(await (await task.add.kiq(1, 2)).result(PATIENT)).toBe(3)
  })

  it('that throws where nobody catches is KIQ_ISOLATE_DIED, and this process lives', async () => {
    await work({ concurrency: 1 })
    const sent = await task.throwLater.kiq()

    expect(errorOf(await sent.waitResult(PATIENT)).code).toBe('KIQ_ISOLATE_DIED')
    expect(await (await task.add.kiq(1, 2)).result(PATIENT)).toBe(3)
  })

  it('is gone when the worker has stopped, also when it holds something open', async () => {
    const worker = await work()
    const { pid } = await (await task.holdOpen.kiq()).result(PATIENT)

    await worker.stop()

    if (kind === 'process') expect(isAlive(pid)).toBe(false)
    else expect(pid).toBe(process.pid)
  })
})

describe('a task with isolate', () => {
  it('and no module that is known is a failure that says what to do', async () => {
    await work()

    expect(errorOf(await (await lost.nowhere.kiq()).waitResult(PATIENT))).toMatchObject({
      code: 'KIQ_CONFIG_INVALID',
      message: expect.stringContaining('`module: import.meta.url`') as string,
    })
  })

  it('is found in the module of the worker', async () => {
    await work({ module: resolve(import.meta.dirname, 'tasks.ts') })

    expect((await (await lost.byWorker.kiq()).result(PATIENT)).pid).not.toBe(process.pid)
  })

  it.each([
    ['that does not exist', lost.noFile, 'KIQ_MODULE_INVALID', 'There is no module ./does-not-exist.ts'],
    ['that does not load', lost.broken, 'KIQ_MODULE_INVALID', 'this module does not load'],
    ['that does not declare it', lost.elsewhere, 'KIQ_TASK_UNKNOWN', '"lost.elsewhere" is not declared by'],
  ])('and a module %s is a failure with the reason', async (_what, task, code, why) => {
    await work()

    const error = errorOf(await (await task.kiq()).waitResult(PATIENT))

    expect(error).toMatchObject({ code, message: expect.stringContaining(why) as string })
  })

  it('is retried by name of its error', async () => {
    broker.withMiddlewares(new SimpleRetryMiddleware({ retryOn: ['RangeError'], defaultRetryCount: 2 }))
    await work()

    const sent = await tasks.process.fail.kicker().withLabels({ retry_on_error: true }).kiq()

    expect((await sent.waitResult(PATIENT)).labels).toMatchObject({ _retries: 1 })
  })
})

describe('a program with isolated tasks', () => {
  const run = promisify(execFile)
  const program = (kind: 'thread' | 'process', end: string): string => `
    import { Worker } from 'kiq'
    import { broker, tasks } from './test/isolate/tasks.ts'
    const worker = new Worker(broker)
    await worker.start()
    const place = await (await tasks.${kind}.holdOpen.kiq()).result()
    console.log(place.pid)
    ${end}
  `
  const start = async (source: string): Promise<number> => {
    const args = ['--import', 'tsx', '--input-type=module', '--eval', source]
    const { stdout } = await run(process.execPath, args, { cwd: ROOT, timeout: 20_000 })
    return Number(stdout)
  }

  it.each(['thread', 'process'] as const)('ends by itself after the worker has stopped: %s', async (kind) => {
    const pid = await start(program(kind, 'await worker.stop(); await broker.shutdown()'))

    await until(() => !isAlive(pid), soon)
  })

  it('leaves no process behind when it is killed', async () => {
    const killed = start(program('process', "process.kill(process.pid, 'SIGKILL')"))
    const pid = await killed.catch((error: { stdout: string }) => Number(error.stdout))

    expect(pid).toBeGreaterThan(0)
    await until(() => !isAlive(pid), soon)
  })

  it('leaves no process behind when it is killed while a task spins', async () => {
    const source = `
      import { writeSync } from 'node:fs'
      import { Worker } from 'kiq'
      import { broker, tasks } from './test/isolate/tasks.ts'
      await new Worker(broker).start()
      const sent = await tasks.process.spin.kiq()
      let place
      while (!(place = (await sent.getProgress())?.meta)) await new Promise((resolve) => setTimeout(resolve, 20))
      writeSync(1, String(place.pid))
      process.kill(process.pid, 'SIGKILL')
    `
    const pid = await start(source).catch((error: { stdout: string }) => Number(error.stdout))

    expect(pid).toBeGreaterThan(0)
    try {
      await until(() => !isAlive(pid), { timeoutMs: 5_000 })
    } finally {
      if (isAlive(pid)) process.kill(pid, 'SIGKILL')
    }
  })
})
