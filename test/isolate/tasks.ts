/** Loaded by the tests, and by every thread and process that runs one of these tasks. */
import { isMainThread, threadId } from 'node:worker_threads'

import type { RecordTask, Task } from 'kiq'
import { Broker, context, silentLogger } from 'kiq'
import { MemoryResultBackend, MemoryTransport } from 'kiq/memory'

const results = new MemoryResultBackend()

export const broker: Broker = new Broker(new MemoryTransport({ results }), {
  resultBackend: results,
  logger: silentLogger,
})

broker.on('workerStartup', (state) => {
  state['model'] = `loaded in ${process.pid}/${threadId}`
})

export interface Place {
  readonly pid: number
  readonly threadId: number
  readonly isMainThread: boolean
}

const here = (): Place => ({ pid: process.pid, threadId, isMainThread })

let calls = 0

const untilAborted = async (): Promise<never> => {
  const { signal } = context()
  return await new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })
}

/** The same tasks for each kind of isolation. */
function declare(isolate: 'thread' | 'process') {
  const options = { isolate, module: import.meta.url } as const
  const task = <A extends unknown[], F>(name: string, run: (...args: A) => F): Task<A, F> =>
    broker.task(`${isolate}.${name}`, run, options)
  return {
    add: task('add', (a: number, b: number) => a + b),
    later: task('later', async (value: unknown) => {
      await new Promise((resolve) => setTimeout(resolve, 10))
      return value
    }),
    record: broker.task({
      ...options,
      name: `${isolate}.record`,
      run: ({ n }: { n: number }) => n + 1,
    }) as RecordTask<[input: { n: number }], number>,
    where: task('where', here),
    count: task('count', () => ({ ...here(), calls: (calls += 1) })),
    fail: task('fail', () => {
      throw Object.assign(new RangeError('too far', { cause: new TypeError('the reason') }), { code: 'E_FAR' })
    }),
    failText: task('failText', async () => {
      await Promise.resolve()
      throw 'just text'
    }),
    clone: task('clone', () => ({
      big: 2n ** 70n + 1n,
      date: new Date(0),
      set: new Set([1]),
      map: new Map([['a', 1]]),
    })),
    unclonable: task('unclonable', () => () => 'code'),
    large: task('large', (text: string) => text + text),
    progress: task('progress', async () => {
      const { progress } = context()
      const before = await progress.get()
      await progress.set('HALF', { pct: 50 })
      return [before, await progress.get()]
    }),
    log: task('log', () => context().log.warn({ n: 1, error: new Error('x'), fn: here }, 'said in isolation')),
    facts: task('facts', (_n: number) => {
      const { attempt, taskId, taskName, labels, message, isAcked, state } = context()
      if (attempt < 3) context().retry()
      return { attempt, taskId, taskName, labels, args: message.args, isAcked, model: state['model'], ...here() }
    }),
    reject: task('reject', () => context().reject('not for us')),
    requeue: task('requeue', () => (context().attempt === 1 ? context().requeue() : 'second')),
    ack: task('ack', async () => {
      await context().ack()
      return context().isAcked
    }),
    spin: task('spin', async () => {
      await context().progress.set('SPINNING', here())
      for (;;);
    }),
    deaf: task('deaf', () => new Promise(() => {})),
    cooperative: task('cooperative', async () => {
      await context().progress.set('WAITING', here())
      await untilAborted().catch(async (error: { code?: string }) => {
        await context().progress.set('ABORTED', { code: error.code })
        throw error
      })
    }),
    exit: task('exit', () => process.exit(3)),
    throwLater: task('throwLater', async () => {
      setTimeout(() => {
        throw new Error('nobody catches this')
      }, 1)
      await new Promise(() => {})
    }),
    holdOpen: task('holdOpen', () => {
      setInterval(() => {}, 1_000)
      return here()
    }),
  }
}

export const tasks = { thread: declare('thread'), process: declare('process') }

export const lost = {
  nowhere: broker.task('lost.nowhere', () => 1, { isolate: 'thread' }),
  noFile: broker.task('lost.noFile', () => 1, { isolate: 'process', module: './does-not-exist.ts' }),
  elsewhere: broker.task('lost.elsewhere', () => 1, {
    isolate: 'thread',
    module: new URL('./empty.ts', import.meta.url).href,
  }),
  broken: broker.task('lost.broken', () => 1, {
    isolate: 'process',
    module: new URL('./broken.ts', import.meta.url).href,
  }),
  byWorker: broker.task('lost.byWorker', here, { isolate: 'process' }),
}
