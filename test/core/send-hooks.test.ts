import { describe, expect, it } from 'vitest'

import type { Middleware } from '../../src/index.ts'
import { fake, inMemory } from '../support/brokers.ts'
import { recordingLogger } from '../support/recording-logger.ts'

/** Never ends, as a transport that hangs. */
const hang = (): Promise<never> => new Promise(() => {})

describe('hooks around a send', () => {
  const traced = (name: string, seen: string[], failing: Partial<Record<keyof Middleware, Error>> = {}): Middleware => {
    const note = (hook: keyof Middleware): void => {
      seen.push(`${hook} ${name}`)
      const error = failing[hook]
      if (error) throw error
    }
    return {
      preSend: (message) => {
        note('preSend')
        return message
      },
      postSend: () => note('postSend'),
      sendFailed: () => note('sendFailed'),
    }
  }

  it('run in list order before, in reverse after', async () => {
    const { broker } = fake()
    const seen: string[] = []
    const task = broker.withMiddlewares(traced('a', seen), traced('b', seen)).task('task', () => 1)
    await broker.startup()

    await task.kiq()

    expect(seen).toEqual(['preSend a', 'preSend b', 'postSend b', 'postSend a'])
  })

  it('tell sendFailed, in reverse, with message and error, and not postSend', async () => {
    const { broker, transport } = fake()
    const seen: string[] = []
    const told: unknown[] = []
    broker.withMiddlewares(traced('a', seen), traced('b', seen), {
      sendFailed: ({ taskName }, error) => void told.push(taskName, error),
    })
    const task = broker.task('task', () => 1)
    await broker.startup()
    const cause = new Error('down')
    transport.fail('send', cause)

    await expect(task.kiq()).rejects.toMatchObject({ code: 'KIQ_SEND_FAILED' })

    expect(seen).toEqual(['preSend a', 'preSend b', 'sendFailed b', 'sendFailed a'])
    expect(told).toEqual(['task', cause])
  })

  it('tell sendFailed also of a timeout', async () => {
    const { broker, transport } = fake({}, { sendTimeout: 20 })
    const codes: unknown[] = []
    broker.withMiddlewares({ sendFailed: (_message, error) => void codes.push((error as { code?: unknown }).code) })
    const task = broker.task('task', () => 1)
    await broker.startup()
    transport.next.send.push({ instead: hang })

    await expect(task.kiq()).rejects.toThrow()

    expect(codes).toEqual(['KIQ_SEND_TIMED_OUT'])
  })

  it('fail the send with what preSend throws, and nothing is sent', async () => {
    const { broker, transport } = fake()
    const seen: string[] = []
    const error = new Error('not today')
    broker.withMiddlewares(traced('a', seen, { preSend: error }), traced('b', seen))
    const task = broker.task('task', () => 1)
    await broker.startup()

    await expect(task.kiq()).rejects.toBe(error)

    expect(seen).toEqual(['preSend a'])
    expect(transport.sent).toEqual([])
  })

  it('log what postSend throws; the send has succeeded and the others still run', async () => {
    const logger = recordingLogger()
    const { broker, transport } = fake({}, { logger })
    const seen: string[] = []
    const error = new Error('too late')
    broker.withMiddlewares(traced('a', seen), traced('b', seen, { postSend: error }))
    const task = broker.task('task', () => 1)
    await broker.startup()

    await task.kiq()

    expect(seen).toEqual(['preSend a', 'preSend b', 'postSend b', 'postSend a'])
    expect(transport.sent.length).toBe(1)
    expect(logger.lines).toMatchObject([{ level: 'error', fields: { err: error, taskName: 'task', hook: 'postSend' } }])
  })

  it('log what sendFailed throws; the error of the send is the answer', async () => {
    const { broker, transport } = fake()
    const seen: string[] = []
    broker.withMiddlewares(traced('a', seen), traced('b', seen, { sendFailed: new Error('and this too') }))
    const task = broker.task('task', () => 1)
    await broker.startup()
    transport.fail('send', new Error('down'))

    await expect(task.kiq()).rejects.toMatchObject({ code: 'KIQ_SEND_FAILED' })

    expect(seen.slice(2)).toEqual(['sendFailed b', 'sendFailed a'])
  })

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['text', 'message'],
    ['an object that is no message', { taskId: 5 }],
  ])('refuse a preSend that returns %s, with the name of the middleware', async (_what, returned) => {
    const { broker, transport } = fake()
    class Forgetful implements Middleware {
      preSend(): never {
        return returned as never
      }
    }
    const task = broker.withMiddlewares(new Forgetful()).task('task', () => 1)
    await broker.startup()

    await expect(task.kiq()).rejects.toMatchObject({
      code: 'KIQ_CONFIG_INVALID',
      message: expect.stringContaining('Hook preSend of Forgetful returned') as string,
    })
    expect(transport.sent).toEqual([])
  })

  it('may change the message', async () => {
    const { broker, transport } = fake()
    broker.withMiddlewares({
      preSend: (message) => ({ ...message, args: ['changed'], labels: { queue_name: 'other' } }),
    })
    const task = broker.task('task', (word: string) => word)
    await broker.startup()

    await task.kiq('original')

    expect(transport.sent[0]).toMatchObject({ queue: 'other', labels: { queue_name: 'other' } })
    expect(JSON.parse(String(transport.sent[0]?.body))).toMatchObject({ args: ['changed'] })
  })
})

describe('broker.withMiddlewares', () => {
  it('refuses a class in place of an instance, and says so', () => {
    class Trace implements Middleware {
      postSend(): void {}
    }

    expect(() => inMemory().withMiddlewares(Trace as never)).toThrow(
      expect.objectContaining({
        code: 'KIQ_CONFIG_INVALID',
        message: expect.stringContaining('(Trace). Pass an object with hooks; did you forget `new`?') as string,
      }),
    )
  })

  it.each([[null], [undefined], ['x'], [5]])('refuses %j', (value) => {
    expect(() => inMemory().withMiddlewares(value as never)).toThrow(
      expect.objectContaining({ code: 'KIQ_CONFIG_INVALID' }),
    )
  })

  it('is also called addMiddlewares', async () => {
    const broker = inMemory()
    const seen: string[] = []
    const task = broker.addMiddlewares({ postSend: () => void seen.push('postSend') }).task('task', () => 1)
    await broker.startup()

    await task.kiq()

    expect(seen).toEqual(['postSend'])
  })
})
