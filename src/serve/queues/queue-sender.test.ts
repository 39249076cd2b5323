import { describe, expect, it } from 'vitest'

import { ConfigError, silentLogger } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import type { QueueBackend } from '../queue-backend.ts'
import { InMemoryQueueBackend } from './memory-queue.ts'
import type { QueueSenderOptions } from './queue-sender.ts'
import { QueueSender } from './queue-sender.ts'
import { OTHER_QUEUES } from './send-counts.ts'

const FAST = { baseMs: 1, maxMs: 2 }

interface Line {
  readonly level: string
  readonly fields: object
  readonly message: string
}

function recording(): { readonly logger: Logger; readonly lines: Line[] } {
  const lines: Line[] = []
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message })
  return { lines, logger: { debug() {}, info: at('info'), warn: at('warn'), error: at('error') } }
}

/** A backend that does one thing after the other, and the last one again and again. */
function scripted(...steps: (() => boolean | Promise<boolean>)[]): QueueBackend & { readonly calls: string[] } {
  const calls: string[] = []
  const sendMessage = async (queueName: string, message: string): Promise<boolean> => {
    calls.push(`${queueName} ${message}`)
    return await (steps[Math.min(calls.length, steps.length) - 1]?.() ?? true)
  }
  return { sendMessage, calls }
}

const fails = (text: string) => (): Promise<boolean> => Promise.reject(new Error(text))
const never = (): Promise<boolean> => new Promise(() => {})

function sender(backend: QueueBackend, options: Partial<QueueSenderOptions> = {}): QueueSender {
  return new QueueSender({ backend, logger: silentLogger, backoff: FAST, ...options })
}

describe('the sender of a service', () => {
  it('sends a message as JSON', async () => {
    const backend = new InMemoryQueueBackend()
    const queues = sender(backend)

    expect(await queues.send({ queueName: 'q', message: { text: 'é' } })).toEqual({ state: 'sent', attempts: 1 })

    expect(backend.messages('q')).toEqual([{ text: 'é' }])
    expect(queues.counts).toEqual(new Map([['q', { sent: 1, failed: 0 }]]))
  })

  it('sends nothing where no queue is named', async () => {
    const backend = scripted()
    const queues = sender(backend)

    expect(await queues.send({ queueName: '', message: {} })).toEqual({ state: 'skipped', attempts: 0 })

    expect(backend.calls).toEqual([])
    expect(queues.counts.size).toBe(0)
  })

  it('tries again after failures, and logs the first and the end', async () => {
    const { logger, lines } = recording()
    const backend = scripted(
      fails('down'),
      () => false,
      fails('still down'),
      () => true,
    )
    const queues = sender(backend, { logger })

    expect(await queues.send({ queueName: 'q', message: { n: 1 } })).toEqual({ state: 'sent', attempts: 4 })

    expect(backend.calls).toEqual(Array.from({ length: 4 }, () => 'q {"n":1}'))
    expect(lines).toMatchObject([
      { level: 'warn', fields: { queue: 'q', err: { message: 'down' } } },
      { level: 'info', fields: { queue: 'q', attempts: 4 } },
    ])
  })

  it('gives up after the last attempt, and reports the last error', async () => {
    const { logger, lines } = recording()
    const queues = sender(scripted(fails('one'), fails('two'), fails('three')), { logger, attempts: 3 })

    const report = await queues.send({ queueName: 'q', message: {} })

    expect(report).toMatchObject({ state: 'failed', attempts: 3, error: { message: 'three' } })
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'error'])
    expect(lines[1]).toMatchObject({ fields: { queue: 'q', attempts: 3 }, message: 'A message is given up: three' })
    expect(queues.counts).toEqual(new Map([['q', { sent: 0, failed: 1 }]]))
  })

  it('reports a message that was not accepted', async () => {
    const queues = sender(scripted(() => false))

    expect(await queues.send({ queueName: 'q', message: {} })).toMatchObject({
      state: 'failed',
      attempts: 5,
      error: { code: 'KIQ_SEND_FAILED', message: expect.stringContaining('did not accept the message to queue "q"') },
    })
  })

  it('does not try again what stays wrong', async () => {
    const wrong = new ConfigError('KIQ_PEER_MISSING', 'Install it.')
    const backend = scripted(() => Promise.reject(wrong))

    const report = await sender(backend).send({ queueName: 'q', message: {} })

    expect(report).toEqual({ state: 'failed', attempts: 1, error: wrong })
    expect(backend.calls).toHaveLength(1)
  })

  it.each([
    ['a cycle', cycle],
    ['a bigint', () => ({ n: 1n })],
    ['a function', () => () => {}],
  ])('reports a message that JSON cannot hold: %s', async (_what, message) => {
    const backend = scripted()

    expect(await sender(backend).send({ queueName: 'q', message: message() })).toMatchObject({
      state: 'failed',
      attempts: 0,
      error: { code: 'KIQ_ARGUMENTS_UNSERIALIZABLE' },
    })
    expect(backend.calls).toEqual([])
  })

  it('never rejects, whatever the backend and the logger throw', async () => {
    const throwing = (): never => {
      throw 'no error'
    }
    const logger = { debug: throwing, info: throwing, warn: throwing, error: throwing }
    const queues = sender({ sendMessage: throwing }, { attempts: 2, logger })

    expect(await queues.send({ queueName: 'q', message: {} })).toEqual({
      state: 'failed',
      attempts: 2,
      error: 'no error',
    })
  })

  it('ends an attempt that takes too long, and tries again', async () => {
    const backend = scripted(never, () => true)

    expect(await sender(backend, { attemptTimeout: 10 }).send({ queueName: 'q', message: {} })).toEqual({
      state: 'sent',
      attempts: 2,
    })
  })

  it('ends when the time for all attempts is over', async () => {
    const queues = sender(scripted(never), { timeout: 30, attempts: 1_000, attemptTimeout: 10 })

    const report = await queues.send({ queueName: 'q', message: {} })

    expect(report).toMatchObject({ state: 'failed', error: { code: 'KIQ_SEND_TIMED_OUT' } })
    expect(report.attempts).toBeLessThan(10)
  })

  it('does not wait for an attempt that would come too late', async () => {
    const queues = sender(scripted(fails('down')), { timeout: '30s', backoff: { baseMs: 100_000, maxMs: 100_000 } })

    expect(await queues.send({ queueName: 'q', message: {} })).toMatchObject({ state: 'failed', attempts: 1 })
  })

  it('has no more messages under way than allowed', async () => {
    const accept: (() => void)[] = []
    const backend = scripted(() => new Promise((resolve) => accept.push(() => resolve(true))))
    const queues = sender(backend, { maxUnderWay: 2 })
    const sent = [1, 2].map((n) => queues.send({ queueName: 'q', message: { n } }))

    expect(await queues.send({ queueName: 'q', message: {} })).toMatchObject({
      state: 'failed',
      attempts: 0,
      error: {
        code: 'KIQ_SEND_FAILED',
        message:
          '2 messages to queues are under way, and no more are accepted. Check that the queues can be reached, or ' +
          'raise `maxUnderWay`.',
      },
    })
    expect(queues.underWay).toBe(2)
    for (const resolve of accept) resolve()
    expect(await Promise.all(sent)).toEqual(sent.map(() => ({ state: 'sent', attempts: 1 })))
    expect(queues.underWay).toBe(0)
  })

  it('counts the first names, and all others together', async () => {
    const queues = sender(scripted(), { maxCounted: 2 })

    for (const queueName of ['a', 'b', 'c', 'd', 'a']) await queues.send({ queueName, message: {} })

    expect([...queues.counts]).toEqual([
      ['a', { sent: 2, failed: 0 }],
      ['b', { sent: 1, failed: 0 }],
      [OTHER_QUEUES, { sent: 2, failed: 0 }],
    ])
  })

  it.each([{ attempts: 0 }, { timeout: 'soon' }, { attemptTimeout: 0 }, { maxUnderWay: -1 }, { maxCounted: 0.5 }])(
    'refuses %j',
    (options) => {
      expect(() => sender(scripted(), options)).toThrow(expect.objectContaining({ code: 'KIQ_CONFIG_INVALID' }))
    },
  )

  describe('draining', () => {
    it('waits for what is under way, and for what comes meanwhile', async () => {
      const backend = scripted(async () => {
        await new Promise(setImmediate)
        return true
      })
      const queues = sender(backend)
      const first = queues.send({ queueName: 'q', message: {} })
      const later = first.then(() => queues.send({ queueName: 'q', message: {} }))

      expect(await queues.drain()).toEqual({ givenUp: 0 })

      expect(queues.counts.get('q')).toEqual({ sent: 2, failed: 0 })
      expect(await later).toEqual({ state: 'sent', attempts: 1 })
    })

    it('gives up what hangs, and what waits for its next attempt', async () => {
      const backend = scripted(never, fails('down'))
      const queues = sender(backend, { backoff: { baseMs: 20_000, maxMs: 20_000 } })
      const sent = [1, 2].map((n) => queues.send({ queueName: 'q', message: { n } }))

      expect(await queues.drain({ timeout: 10 })).toEqual({ givenUp: 2 })

      expect(await Promise.all(sent)).toMatchObject([
        { state: 'failed', attempts: 1, error: { code: 'KIQ_SEND_TIMED_OUT' } },
        { state: 'failed', attempts: 1, error: { message: 'down' } },
      ])
      expect(queues.underWay).toBe(0)
    })

    it('is over at once where nothing is under way, and sending goes on afterwards', async () => {
      const queues = sender(scripted())

      expect(await queues.drain({ timeout: 0 })).toEqual({ givenUp: 0 })

      expect(await queues.send({ queueName: 'q', message: {} })).toMatchObject({ state: 'sent' })
    })
  })
})

function cycle(): object {
  const message: { self?: object } = {}
  message.self = message
  return message
}
