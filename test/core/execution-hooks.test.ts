import { describe, expect, it } from 'vitest'

import type { Middleware, TaskMessage } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { errorOf, fake, inMemory, wire } from '../support/brokers.ts'
import { settled } from '../support/deferred.ts'
import { recordingLogger } from '../support/recording-logger.ts'

const HOOKS = [
  'startup',
  'shutdown',
  'preSend',
  'postSend',
  'preExecute',
  'onError',
  'postExecute',
  'postSave',
] as const

/** Notes every hook it has. */
function trace(
  name: string,
  seen: string[],
  failing: Partial<Record<(typeof HOOKS)[number], unknown>> = {},
): Middleware {
  const hook =
    (which: (typeof HOOKS)[number]) =>
    async (message?: unknown): Promise<unknown> => {
      await Promise.resolve()
      seen.push(`${which} ${name}`)
      if (which in failing) throw failing[which]
      return message
    }
  return Object.fromEntries(HOOKS.map((which) => [which, hook(which)])) as Middleware
}

describe('middlewares of a task', () => {
  it('run in the order of Taskiq when it succeeds', async () => {
    const seen: string[] = []
    const broker = inMemory().withMiddlewares(trace('a', seen), trace('b', seen))
    const task = broker.task('task', () => void seen.push('task'))
    await broker.startup()

    await (await task.kiq()).result()
    await broker.shutdown()

    expect(seen).toEqual([
      'startup a',
      'startup b',
      'preSend a',
      'preSend b',
      'postSend b',
      'postSend a',
      'preExecute a',
      'preExecute b',
      'task',
      'postExecute b',
      'postExecute a',
      'postSave b',
      'postSave a',
      'shutdown a',
      'shutdown b',
    ])
  })

  it('run in the order of Taskiq when it fails', async () => {
    const seen: string[] = []
    const broker = inMemory().withMiddlewares(trace('a', seen), trace('b', seen))
    const task = broker.task('task', () => {
      throw new Error('x')
    })
    await broker.startup()

    await (await task.kiq()).waitResult()

    expect(seen.slice(6)).toEqual([
      'preExecute a',
      'preExecute b',
      'onError b',
      'onError a',
      'postExecute b',
      'postExecute a',
      'postSave b',
      'postSave a',
    ])
  })

  it('may be without any hook', async () => {
    const broker = inMemory().withMiddlewares({})
    const task = broker.task('task', () => 1)
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe(1)
  })

  it('see the message, the result and the error', async () => {
    const seen: unknown[] = []
    const broker = inMemory().withMiddlewares({
      onError: ({ taskName }, result, error, control) => {
        seen.push([taskName, errorOf(result).message, error, control.attempt, control.decision])
      },
      postExecute: ({ args }, result) => void seen.push([args, result.isErr]),
      postSave: ({ taskId }, result) => void seen.push([taskId, result.isErr]),
    })
    const error = new Error('x')
    const task = broker.task('task', (_n: number) => {
      throw error
    })
    await broker.startup()

    await (await task.kicker().withTaskId('mine').kiq(5)).waitResult()

    expect(seen).toEqual([
      ['task', 'x', error, 1, 'fail'],
      [[5], true],
      ['mine', true],
    ])
  })

  it('may change the message before the execution; the result has its labels', async () => {
    const broker = inMemory().withMiddlewares({
      preExecute: (message) => ({
        ...message,
        args: [...message.args, 'added'],
        labels: { ...message.labels, seen: 1 },
      }),
    })
    const task = broker.task('task', (...args: string[]) => args)
    await broker.startup()

    expect(await (await task.kiq('given')).waitResult()).toMatchObject({
      returnValue: ['given', 'added'],
      labels: { seen: 1 },
    })
  })

  it('of the worker see what hooks of the producer added', async () => {
    const labels: unknown[] = []
    const broker = inMemory().withMiddlewares({
      preSend: (message) => ({ ...message, labels: { ...message.labels, trace: 'abc', at: 1.5 } }),
      preExecute: (message) => {
        labels.push(message.labels)
        return message
      },
    })
    const task = broker.task('task', () => 1)
    await broker.startup()

    await (await task.kiq()).result()

    expect(labels).toEqual([{ trace: 'abc', at: 1.5 }])
  })

  it('run before the result is told to those who wait', async () => {
    const seen: string[] = []
    const broker = inMemory().withMiddlewares(trace('a', seen))
    const task = broker.task('task', () => 1)
    await broker.startup()
    const sent = await task.kiq()

    await sent.result()

    expect(seen).toContain('postSave a')
  })
})

describe('a hook that throws', () => {
  const error = new RangeError('a hook that throws')

  const run = async (
    failing: Partial<Record<(typeof HOOKS)[number], unknown>>,
    fails: 'task fails' | 'task succeeds',
  ) => {
    const seen: string[] = []
    const logger = recordingLogger()
    const broker = inMemory({ logger }).withMiddlewares(trace('a', seen), trace('b', seen, failing))
    const task = broker.task('task', () => {
      seen.push('task')
      if (fails === 'task fails') throw new Error('the task itself')
      return 5
    })
    await broker.startup()
    const result = await (await task.kiq()).waitResult({ timeout: '5s' })
    await settled()
    return { result, seen: seen.slice(seen.indexOf('preExecute a')), logger }
  }

  it('before the execution is its failure; the task does not run', async () => {
    const { result, seen } = await run({ preExecute: error }, 'task succeeds')

    expect(errorOf(result)).toMatchObject({ name: 'RangeError', message: 'a hook that throws' })
    expect(seen).toEqual([
      'preExecute a',
      'preExecute b',
      'onError b',
      'onError a',
      'postExecute b',
      'postExecute a',
      'postSave b',
      'postSave a',
    ])
  })

  it('in onError is the failure that is stored', async () => {
    const { result, seen } = await run({ onError: error }, 'task fails')

    expect(errorOf(result)).toMatchObject({ name: 'RangeError', message: 'a hook that throws' })
    expect(seen).toEqual(expect.arrayContaining(['postExecute a', 'postSave a']))
  })

  it.each(['task succeeds', 'task fails'] as const)('in postExecute is the failure that is stored: %s', async (how) => {
    const { result, seen } = await run({ postExecute: error }, how)

    expect(errorOf(result)).toMatchObject({ name: 'RangeError', message: 'a hook that throws' })
    expect(seen).toEqual(expect.arrayContaining(['postSave b', 'postSave a']))
  })

  it('in postSave is logged; the result stands and the others still run', async () => {
    const { result, seen, logger } = await run({ postSave: error }, 'task succeeds')

    expect(result).toMatchObject({ isErr: false, returnValue: 5 })
    expect(seen.slice(-2)).toEqual(['postSave b', 'postSave a'])
    expect(logger.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        fields: expect.objectContaining({ err: error, hook: 'postSave', taskName: 'task' }) as object,
      }),
    )
  })

  it('in every position at once still leaves a failure for who waits', async () => {
    const all = { preExecute: 'a', onError: undefined, postExecute: null, postSave: error }
    const { result } = await run(all, 'task succeeds')

    expect(result.isErr).toBe(true)
  })

  it('with undefined in preExecute is a failure too', async () => {
    const { result } = await run({ preExecute: undefined }, 'task succeeds')

    expect(result.isErr).toBe(true)
  })

  it('synchronously is treated like one that rejects', async () => {
    const broker = inMemory().withMiddlewares({
      postExecute: () => {
        throw error
      },
    })
    const task = broker.task('task', () => 1)
    await broker.startup()

    expect(errorOf(await (await task.kiq()).waitResult())).toMatchObject({ name: 'RangeError' })
  })

  it.each(['preExecute', 'onError', 'postExecute', 'postSave'] as const)(
    'in %s does not keep the message from being settled, with any transport',
    async (hook) => {
      const { broker, transport, results, work } = fake()
      broker.withMiddlewares(trace('a', [], { [hook]: error }))
      broker.task('task', () => {
        if (hook === 'onError') throw new Error('x')
      })
      const worker = await work()

      transport.deliver(wire('task'))
      await until(() => worker.processed === 1, { timeoutMs: 2_000 })

      expect(transport.settled).toEqual(['ack id'])
      expect(results.stored('id')).toMatchObject({ is_err: hook !== 'postSave' })
    },
  )

  it('in startup fails the startup and undoes it', async () => {
    const seen: string[] = []
    const broker = inMemory().withMiddlewares(trace('a', seen), trace('b', seen, { startup: error }))

    await expect(broker.startup()).rejects.toBe(error)

    expect(seen).toEqual(['startup a', 'startup b', 'shutdown a'])
  })
})

describe('a preExecute hook that returns no message', () => {
  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a text', 'x'],
  ])('but %s is a failure with the name of the middleware', async (_what, returned) => {
    class Forgetful implements Middleware {
      preExecute(): TaskMessage {
        return returned as never
      }
    }
    const broker = inMemory().withMiddlewares(new Forgetful())
    const task = broker.task('task', () => 1)
    await broker.startup()

    expect(errorOf(await (await task.kiq()).waitResult())).toMatchObject({
      code: 'KIQ_CONFIG_INVALID',
      message: expect.stringContaining('Hook preExecute of Forgetful returned') as string,
    })
  })
})

describe('control in onError', () => {
  it('rejects: a failed result and a dead letter with the reason', async () => {
    const broker = inMemory().withMiddlewares({ onError: (_m, _r, _e, control) => control.reject('hopeless') })
    const task = broker.task('task', () => {
      throw new Error('x')
    })
    await broker.startup()

    const result = await (await task.kicker().withTaskId('mine').kiq()).waitResult()

    expect(errorOf(result).message).toBe('x')
    expect(await broker.transport.deadLetters?.list()).toMatchObject([{ taskId: 'mine', reason: 'hopeless' }])
  })

  it('keeps the last decision, and shows the ones before', async () => {
    const decisions: string[] = []
    let executions = 0
    const broker = inMemory().withMiddlewares(
      { onError: (_m, _r, _e, control) => void (decisions.push(control.decision), control.reject('no')) },
      { onError: (_m, _r, _e, control) => void (decisions.push(control.decision), control.retry()) },
    )
    const task = broker.task('task', () => {
      executions += 1
      throw new Error('x')
    })
    await broker.startup()

    await (await task.kiq()).waitResult()

    expect(decisions).toEqual(['fail', 'retry'])
    expect(executions).toBe(1)
    expect((await broker.transport.deadLetters?.list())?.length).toBe(1)
  })

  it('retries with labels of its own', async () => {
    const broker = inMemory().withMiddlewares({
      onError: (_m, _r, _e, control) => {
        if (control.attempt < 3) control.retry({ labels: { why: `failed ${control.attempt}` } })
      },
    })
    const task = broker.task('task', () => {
      throw new Error('x')
    })
    await broker.startup()

    expect((await (await task.kiq()).waitResult()).labels).toEqual({ _retries: 2, why: 'failed 2' })
  })
})
