import { describe, expect, it } from 'vitest'

import type { Labels, Middleware, SmartRetryOptions } from '../../src/index.ts'
import { context, SimpleRetryMiddleware, SmartRetryMiddleware } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { errorOf, fake, inMemory, wire } from '../support/brokers.ts'
import { deferred, settled } from '../support/deferred.ts'

/** A task that fails until its execution number `succeedsAt`. */
async function flaky(middleware: Middleware, succeedsAt: number, labels: Labels = { retry_on_error: true }) {
  const broker = inMemory().withMiddlewares(middleware)
  const attempts: number[] = []
  const task = broker.task(
    'flaky',
    () => {
      attempts.push(context().attempt)
      if (attempts.length < succeedsAt) throw new Error(`failure ${attempts.length}`)
      return attempts.length
    },
    { labels },
  )
  await broker.startup()
  return { broker, task, attempts }
}

describe('SimpleRetryMiddleware', () => {
  it('runs the task until it succeeds; waiters see only the end', async () => {
    const { task, attempts } = await flaky(new SimpleRetryMiddleware({ defaultRetryCount: 4 }), 3)

    expect(await (await task.kiq()).result()).toBe(3)
    expect(attempts).toEqual([1, 2, 3])
  })

  it('counts executions, the first included', async () => {
    const { task, attempts } = await flaky(new SimpleRetryMiddleware({ defaultRetryCount: 3 }), 100)

    const result = await (await task.kiq()).waitResult()

    expect(errorOf(result).message).toBe('failure 3')
    expect(attempts).toEqual([1, 2, 3])
    expect(result.labels).toEqual({ retry_on_error: true, _retries: 2 })
  })

  it('keeps the id', async () => {
    const { task, broker } = await flaky(new SimpleRetryMiddleware(), 2)

    const sent = await task.kicker().withTaskId('mine').kiq()

    expect(await sent.result()).toBe(2)
    expect(await broker.sentTask('mine').result({ timeout: 0 })).toBe(2)
  })

  it('leaves tasks alone that are not to be retried', async () => {
    const { task, attempts } = await flaky(new SimpleRetryMiddleware(), 2, {})

    expect(errorOf(await (await task.kiq()).waitResult()).message).toBe('failure 1')
    expect(attempts).toEqual([1])
  })

  it('is told by the labels of a call', async () => {
    const { task, attempts } = await flaky(new SimpleRetryMiddleware(), 100, {})

    await (await task.kicker().withLabels({ retry_on_error: true, max_retries: 5 }).kiq()).waitResult()

    expect(attempts).toEqual([1, 2, 3, 4, 5])
  })

  it('does not compound over several sends of a task', async () => {
    const { task, attempts } = await flaky(new SimpleRetryMiddleware({ defaultRetryCount: 2 }), 100)

    await (await task.kiq()).waitResult()
    await (await task.kiq()).waitResult()

    expect(attempts).toEqual([1, 2, 1, 2])
  })

  it('shows each failure between attempts with noResultOnRetry: false', async () => {
    const saved: string[] = []
    const gate = deferred()
    const broker = inMemory().withMiddlewares(new SimpleRetryMiddleware({ noResultOnRetry: false }), {
      postSave: (_message, result) => void saved.push(result.isErr ? result.error.message : 'success'),
    })
    const task = broker.task(
      'task',
      async () => {
        if (context().attempt === 1) throw new Error('failure 1')
        await gate.promise
        return 5
      },
      { labels: { retry_on_error: true } },
    )
    await broker.startup()
    const sent = await task.kiq()

    expect(errorOf(await sent.waitResult()).message).toBe('failure 1')
    gate.resolve()
    await until(() => saved.length === 2, { timeoutMs: 2_000 })
    expect(await sent.result()).toBe(5)
    expect(saved).toEqual(['failure 1', 'success'])
  })

  it('does not retry what a retry cannot mend', async () => {
    const { broker, attempts } = await flaky(new SimpleRetryMiddleware(), 100)

    const sent = await broker
      .externalTask('flaky')
      .kicker()
      .withLabels({ retry_on_error: true })
      .withKwargs({ k: 1 })
      .kiq()

    await expect(sent.result()).rejects.toMatchObject({ code: 'KIQ_ARGUMENTS_INVALID' })
    expect(attempts).toEqual([])
  })

  it('retries a timeout', async () => {
    const broker = inMemory().withMiddlewares(new SimpleRetryMiddleware({ defaultRetryCount: 2 }))
    const attempts: number[] = []
    const task = broker.task(
      'slow',
      async () => {
        attempts.push(context().attempt)
        await new Promise((resolve) => context().signal.addEventListener('abort', resolve))
      },
      { timeout: 20, labels: { retry_on_error: true } },
    )
    await broker.startup()

    await expect((await task.kiq()).result()).rejects.toMatchObject({ code: 'KIQ_TASK_TIMED_OUT' })
    expect(attempts).toEqual([1, 2])
  })

  it('runs the hooks of a send for every retry', async () => {
    const seen: string[] = []
    const broker = inMemory().withMiddlewares(new SimpleRetryMiddleware(), {
      preSend: (message) => {
        seen.push(`preSend ${String(message.labels['_retries'] ?? 0)}`)
        return message
      },
      postSend: (message) => void seen.push(`postSend ${String(message.labels['_retries'] ?? 0)}`),
    })
    const task = broker.task(
      'task',
      () => {
        if (context().attempt < 3) throw new Error('x')
      },
      { labels: { retry_on_error: true } },
    )
    await broker.startup()

    await (await task.kiq()).result()

    expect(seen).toEqual(['preSend 0', 'postSend 0', 'preSend 1', 'postSend 1', 'preSend 2', 'postSend 2'])
  })

  it('counts redeliveries as executions', async () => {
    const { broker, transport, work } = fake({ loop: true })
    const attempts: number[] = []
    broker.withMiddlewares(new SimpleRetryMiddleware())
    broker.task('task', () => {
      attempts.push(context().attempt)
      throw new Error('x')
    })
    await work()

    // Its workers died twice before.
    const labels = { labels: { retry_on_error: 'True' }, labels_types: { retry_on_error: 5 } }
    transport.deliver(wire('task', labels), { attempt: 3 })
    await until(() => transport.settled.length === 1, { timeoutMs: 2_000 })

    expect(transport.settled).toEqual(['ack id'])
    expect(attempts).toEqual([3])
  })
})

describe('a retry', () => {
  it('replaces the message in the step that settles it', async () => {
    const { broker, transport, events, work } = fake({ loop: true })
    broker.withMiddlewares(new SimpleRetryMiddleware())
    broker.task('task', () => {
      if (context().attempt === 1) throw new Error('x')
    })
    await work()
    const labels = { labels: { retry_on_error: 'True', by: 'AP8=' }, labels_types: { retry_on_error: 5, by: 6 } }

    transport.deliver(wire('task', { ...labels, args: [1], kwargs: {} }))
    await until(() => transport.settled.length === 2, { timeoutMs: 2_000 })

    expect(events).toEqual(['replace id', 'send id', 'save id', 'ack id'])
    expect(JSON.parse(String(transport.sent[0]?.body))).toEqual({
      task_id: 'id',
      task_name: 'task',
      labels: { retry_on_error: 'True', by: 'AP8=', _retries: '1' },
      labels_types: { retry_on_error: 5, by: 6, _retries: 2 },
      args: [1],
      kwargs: {},
    })
  })

  it('stores the visible failure before the next attempt can end', async () => {
    const { broker, transport, events, work } = fake({ loop: true })
    broker.withMiddlewares(new SimpleRetryMiddleware({ noResultOnRetry: false, defaultRetryLabel: true }))
    broker.task('task', () => {
      if (context().attempt === 1) throw new Error('x')
    })
    await work()

    transport.deliver(wire('task'))
    await until(() => transport.settled.length === 2, { timeoutMs: 2_000 })

    expect(events).toEqual(['save id', 'replace id', 'send id', 'save id', 'ack id'])
  })

  it('stores the visible failure before the next attempt can end also when the message was acknowledged', async () => {
    const { broker, transport, events, work } = fake({ loop: true })
    broker.withMiddlewares(new SimpleRetryMiddleware({ noResultOnRetry: false, defaultRetryLabel: true }))
    broker.task('task', () => {
      if (context().attempt === 1) throw new Error('x')
    })
    await work({ ackType: 'when_received' })

    transport.deliver(wire('task'))
    await until(() => events.filter((event) => event === 'save id').length === 2, { timeoutMs: 2_000 })

    expect(events.slice(0, 3)).toEqual(['ack id', 'save id', 'send id'])
  })

  it('of a message that was acknowledged is sent again when the transport fails once', async () => {
    const { broker, transport, results, work } = fake({ loop: true })
    broker.withMiddlewares(new SimpleRetryMiddleware({ defaultRetryLabel: true }))
    broker.task('task', () => {
      if (context().attempt === 1) throw new Error('x')
      return 5
    })
    await work({ ackType: 'when_received' })
    transport.fail('send', new Error('down for a moment'))

    transport.deliver(wire('task'))

    await until(() => results.stored('id'), { timeoutMs: 2_000 })
    expect(results.stored('id')).toMatchObject({ is_err: false, return_value: 5 })
  })

  it('is a stored failure when a hook refuses the next send', async () => {
    const error = new Error('not again')
    const broker = inMemory().withMiddlewares(new SimpleRetryMiddleware(), {
      preSend: (message) => {
        if (message.labels['_retries'] !== undefined) throw error
        return message
      },
    })
    const task = broker.task('task', () => {
      throw new Error('x')
    })
    await broker.startup()

    const sent = await task.kicker().withLabels({ retry_on_error: true }).kiq()

    expect(errorOf(await sent.waitResult()).message).toBe('not again')
  })

  it('with a delay is a stored failure on a transport without delays', async () => {
    const { broker, transport, results, work } = fake({ capabilities: { delays: false } })
    broker.withMiddlewares(new SmartRetryMiddleware({ defaultRetryLabel: true }))
    broker.task('task', () => {
      throw new Error('x')
    })
    await work()

    transport.deliver(wire('task'))
    await until(() => transport.settled.length === 1, { timeoutMs: 2_000 })

    expect(results.stored('id')).toMatchObject({ is_err: true, error: { code: 'KIQ_UNSUPPORTED' } })
    expect(transport.settled).toEqual(['ack id'])
  })
})

describe('SmartRetryMiddleware', () => {
  /** Delays of the retries that a transport was asked for, in milliseconds. */
  const delaysOf = async (
    options: SmartRetryOptions,
    labels: Labels,
    count: number,
  ): Promise<(number | undefined)[]> => {
    const { broker, transport, work } = fake({ loop: true })
    broker.withMiddlewares(new SmartRetryMiddleware({ defaultRetryCount: count + 1, ...options }))
    const task = broker.task('task', () => {
      throw new Error('x')
    })
    await work()
    await (
      await task
        .kicker()
        .withLabels({ retry_on_error: true, ...labels })
        .kiq()
    ).waitResult()
    return transport.sent.slice(1).map(({ deliverAt, labels: { delay } }) => {
      expect(deliverAt === undefined).toBe(delay === undefined)
      return delay === undefined ? undefined : Number(delay) * 1_000
    })
  }

  it('waits longer each time, up to the cap, without compounding', async () => {
    expect(await delaysOf({ useDelayExponent: true }, {}, 6)).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000])
  })

  it('waits as long as label retry_delay says, and not as long as label delay said for the first', async () => {
    expect(await delaysOf({}, { retry_delay: 7, delay: 30 }, 2)).toEqual([7_000, 7_000])
  })

  it('sends at once when the delay is nothing', async () => {
    expect(await delaysOf({ defaultDelay: 0 }, {}, 2)).toEqual([undefined, undefined])
  })

  it('runs the task again after the delay', async () => {
    const { task, attempts } = await flaky(new SmartRetryMiddleware({ defaultDelay: 30 }), 3)
    const startedAt = performance.now()

    expect(await (await task.kiq()).result({ timeout: '5s' })).toBe(3)

    expect(attempts).toEqual([1, 2, 3])
    expect(performance.now() - startedAt).toBeGreaterThan(55)
  })

  it('writes the delay in seconds with its type, as Taskiq does', async () => {
    const { broker, transport, work } = fake({ loop: true })
    broker.withMiddlewares(new SmartRetryMiddleware({ defaultDelay: 1_500, defaultRetryCount: 2 }))
    const task = broker.task('task', () => {
      throw new Error('x')
    })
    await work()

    await (await task.kicker().withLabels({ retry_on_error: true }).kiq()).waitResult()

    expect(JSON.parse(String(transport.sent[1]?.body))).toMatchObject({
      labels: { delay: '1.5', _retries: '1' },
      labels_types: { delay: 4, _retries: 2 },
    })
  })

  it('lets other tasks run meanwhile', async () => {
    const { broker, task } = await flaky(new SmartRetryMiddleware({ defaultDelay: '1h' }), 2)
    const other = broker.externalTask<[], number>('flaky').kicker()
    const waiting = await task.kiq()
    await settled()

    expect(await (await other.kiq()).result({ timeout: '2s' })).toBe(2)
    expect(await waiting.isReady()).toBe(false)
    expect(await waiting.cancel()).toBe(true)
  })
})
