import { describe, expect, it } from 'vitest'

import { context, silentLogger, TaskiqFormatter, JsonSerializer } from '../../src/index.ts'
import type { AckType } from '../../src/index.ts'
import { ResultError } from '../../src/contract/index.ts'
import { until } from '../../src/testing/until.ts'
import { fake, wire } from '../support/brokers.ts'
import { deferred, settled } from '../support/deferred.ts'
import { recordingLogger } from '../support/recording-logger.ts'

/** One message through a worker, with everything that happens noted in order. */
async function run(ackType: AckType | undefined, outcome: 'success' | 'failure' = 'success', body = wire('task')) {
  const made = fake()
  const { broker, events, transport, work } = made
  broker.withMiddlewares({
    preExecute: (message) => {
      events.push('preExecute')
      return message
    },
    postExecute: () => void events.push('postExecute'),
    postSave: () => void events.push('postSave'),
  })
  broker.task('task', () => {
    events.push(`task ${context().isAcked ? 'acked' : 'not acked'}`)
    if (outcome === 'failure') throw new Error('x')
  })
  const worker = await work({ ackType })
  transport.deliver(body)
  await until(() => worker.processed === 1, { timeoutMs: 2_000 })
  return { ...made, worker }
}

describe('ack type', () => {
  it('when_received acknowledges before the task', async () => {
    const { events } = await run('when_received')

    expect(events).toEqual(['preExecute', 'ack id', 'task acked', 'postExecute', 'save id', 'postSave'])
  })

  it.each(['success', 'failure'] as const)(
    'when_executed acknowledges after the task, before postExecute: %s',
    async (outcome) => {
      const { events } = await run('when_executed', outcome)

      expect(events).toEqual(['preExecute', 'task not acked', 'ack id', 'postExecute', 'save id', 'postSave'])
    },
  )

  it.each(['success', 'failure'] as const)(
    'when_saved acknowledges after the result is stored, and is the default: %s',
    async (outcome) => {
      const { events } = await run(undefined, outcome)

      expect(events).toEqual(['preExecute', 'task not acked', 'postExecute', 'save id', 'ack id', 'postSave'])
    },
  )

  it.each(['success', 'failure'] as const)(
    'manual puts a message back that the task did not acknowledge: %s',
    async (outcome) => {
      const { transport } = await run('manual', outcome)

      expect(transport.settled).toEqual(['requeue id'])
    },
  )

  it('manual acknowledges when the task says so, once', async () => {
    const { broker, events, transport, work } = fake()
    broker.task('task', async () => {
      const { ack } = context()
      events.push(`before ${String(context().isAcked)}`)
      await context().ack()
      await context().ack()
      events.push(`after ${String(context().isAcked)}`)
      expect(ack).toBeTypeOf('function')
    })
    const worker = await work({ ackType: 'manual' })

    transport.deliver(wire('task'))
    await until(() => worker.processed === 1, { timeoutMs: 2_000 })

    expect(events).toEqual(['before false', 'ack id', 'after true', 'save id'])
  })

  it('context().ack() works with any type, also after the message was acknowledged', async () => {
    for (const ackType of ['when_received', 'when_executed', 'when_saved'] as const) {
      const { broker, transport, work } = fake()
      broker.task('task', () => context().ack())
      const worker = await work({ ackType })

      transport.deliver(wire('task'))
      await until(() => worker.processed === 1, { timeoutMs: 2_000 })

      expect(transport.settled).toEqual(['ack id'])
    }
  })

  it('of a task wins over that of the worker', async () => {
    const { broker, events, transport, work } = fake()
    broker.task('task', () => void events.push('task'), { ackType: 'when_received' })
    const worker = await work({ ackType: 'when_saved' })

    transport.deliver(wire('task'))
    await until(() => worker.processed === 1, { timeoutMs: 2_000 })

    expect(events).toEqual(['ack id', 'task', 'save id'])
  })

  it.each(['when_received', 'WHEN_RECEIVED'])('of a call wins over both, as label %s', async (label) => {
    const { events } = await run('when_saved', 'success', wire('task', { labels: { ack_type: label } }))

    expect(events.slice(0, 3)).toEqual(['preExecute', 'ack id', 'task acked'])
  })

  it('that does not exist is a stored failure, and the message is settled', async () => {
    const { results, transport, events } = await run(
      undefined,
      'success',
      wire('task', { labels: { ack_type: 'AckType.X' } }),
    )

    expect(results.stored('id')).toMatchObject({
      is_err: true,
      error: { exc_message: [expect.stringContaining('"AckType.X" is not known')] },
    })
    expect(transport.settled).toEqual(['ack id'])
    expect(events).not.toContain('task not acked')
  })
})

describe('a save that fails', () => {
  it('is tried again, and nothing is acknowledged before it succeeds', async () => {
    const logger = recordingLogger()
    const { broker, events, results, transport, work } = fake({}, { logger })
    broker.task('task', () => 5)
    await work()
    results.fail('save', new ResultError('KIQ_RESULT_BACKEND_FAILED', 'down'), 3)

    transport.deliver(wire('task'))
    await until(() => transport.settled.length === 1, { timeoutMs: 5_000 })

    expect(events).toEqual(['save id', 'ack id'])
    expect(logger.lines.filter(({ level }) => level === 'warn').length).toBe(1)
  })

  it('does not keep other tasks from running', async () => {
    const { broker, results, transport, work } = fake()
    const ran: number[] = []
    broker.task('task', (n: number) => void ran.push(n))
    await work({ concurrency: 5 })
    const gate = deferred()
    results.next.save.push(() => gate.promise)

    for (const n of [1, 2, 3]) {
      transport.deliver(wire('task', { task_id: `t${n}`, args: [n] }))
      await settled()
    }

    expect(ran).toEqual([1, 2, 3])
    expect(transport.settled).toEqual([])
    gate.resolve()
    await until(() => transport.settled.length === 3, { timeoutMs: 2_000 })
  })

  it('is given up when the worker’s time is over; the message is not acknowledged', async () => {
    const { broker, results, transport, work } = fake()
    broker.task('task', () => 5)
    const worker = await work({ waitTasksTimeout: 20, shutdownTimeout: 50, abortGrace: 10 })
    results.fail('save', new ResultError('KIQ_RESULT_BACKEND_FAILED', 'down'), 1_000)
    transport.deliver(wire('task'))
    await settled()

    await worker.stop()

    expect(transport.settled).toEqual([])
  })
})

describe('a settlement that fails', () => {
  it('is tried again', async () => {
    const { broker, events, transport, work } = fake()
    broker.task('task', () => 5)
    await work()
    transport.fail('settle', new Error('down'), 2)

    transport.deliver(wire('task'))
    await until(() => transport.settled.length === 1, { timeoutMs: 5_000 })

    expect(events).toEqual(['save id', 'ack id'])
  })

  it('keeps when_received from running the task until it succeeds', async () => {
    const { broker, events, transport, work } = fake()
    broker.task('task', () => void events.push('task'))
    await work({ ackType: 'when_received' })
    transport.fail('settle', new Error('down'), 2)

    transport.deliver(wire('task'))
    await until(() => events.includes('save id'), { timeoutMs: 5_000 })

    expect(events).toEqual(['ack id', 'task', 'save id'])
  })
})

describe('a delivery whose lease went to another worker', () => {
  const stale = async (ackType: AckType) => {
    const logger = recordingLogger()
    const made = fake({}, { logger })
    const { broker, events, transport, work } = made
    transport.outcome = () => 'stale'
    broker.withMiddlewares({ postSave: () => void events.push('postSave') })
    broker.task('task', () => void events.push('task'))
    const worker = await work({ ackType })
    transport.deliver(wire('task'))
    await until(() => worker.processed === 1, { timeoutMs: 2_000 })
    return { ...made, logger }
  }

  it('is not told to postSave', async () => {
    const { events, logger } = await stale('when_saved')

    expect(events).not.toContain('postSave')
    expect(logger.lines).toContainEqual(expect.objectContaining({ level: 'warn' }))
  })

  it('does not run with when_received', async () => {
    expect((await stale('when_received')).events).toEqual(['ack id'])
  })

  it('stores nothing with when_executed, where the acknowledgement comes first', async () => {
    expect((await stale('when_executed')).events).toEqual(['task', 'ack id'])
  })

  it('is not retried', async () => {
    const { broker, transport, events, work } = fake()
    transport.outcome = () => 'stale'
    const posted: string[] = []
    broker.withMiddlewares({ postSend: () => void posted.push('postSend') })
    broker.task('task', () => context().retry())
    const worker = await work()

    transport.deliver(wire('task'))
    await until(() => worker.processed === 1, { timeoutMs: 2_000 })

    expect(events).toEqual(['replace id'])
    expect(posted).toEqual([])
  })

  it('aborts the task when the transport says so', async () => {
    const { broker, transport, work } = fake()
    const started = deferred()
    let reason: unknown
    broker.task('task', async () => {
      const { signal } = context()
      started.resolve()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      reason = signal.reason
    })
    const worker = await work()
    const lost = transport.deliver(wire('task'))
    await started.promise

    transport.starts[0]?.onLeaseLost([{ ...lost }])
    expect(worker.running).toBe(1)
    transport.starts[0]?.onLeaseLost([lost])
    await until(() => worker.processed === 1, { timeoutMs: 2_000 })

    expect(reason).toMatchObject({ code: 'KIQ_LEASE_LOST' })
  })
})

describe('a message without a result backend', () => {
  it.each(['when_received', 'when_executed', 'when_saved'] as const)('is acknowledged with %s', async (ackType) => {
    const { broker, transport, work } = fake({}, { resultBackend: undefined })
    broker.task('task', () => 1)
    const worker = await work({ ackType })

    transport.deliver(wire('task'))
    await until(() => worker.processed === 1, { timeoutMs: 2_000 })

    expect(transport.settled).toEqual(['ack id'])
  })
})

describe('a formatter of one’s own', () => {
  it('writes and reads messages', async () => {
    const inner = new TaskiqFormatter(new JsonSerializer())
    const { broker, transport, work } = fake({ loop: true }, { logger: silentLogger })
    broker.withFormatter({
      dumps: (message) => ({ ...inner.dumps(message), body: `v1 ${String(inner.dumps(message).body)}` }),
      loads: (body) => inner.loads(String(body).replace('v1 ', '')),
    })
    const task = broker.task('task', (n: number) => n)
    await work()

    expect(await (await task.kiq(5)).result()).toBe(5)
    expect(transport.sent[0]?.body).toMatch(/^v1 \{/)
  })
})
