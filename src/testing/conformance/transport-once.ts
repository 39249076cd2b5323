import { expect } from 'vitest'

import type { SendOnce, WireMessage } from '../../contract/index.ts'
import { until } from '../until.ts'
import type { CaseParts } from './transport.ts'
import type { TransportRig } from './transport-rig.ts'
import { factsOf, PATIENCE_MS, textsOf } from './transport-rig.ts'

/** Long enough that it is not over during a case. */
const LONG_MS = 60_000
/** Short enough that a case can wait for its end, and longer than a busy machine needs for two sends. */
const SHORT_MS = 1_000
/** Of a firing. */
const AT = 1_893_456_000_123

const ODD_KEYS = [
  '',
  'a',
  'a:b',
  '{a}',
  'ünïcode 😀',
  'with spaces\nand lines',
  '__proto__',
  '*',
  "'; --",
  'x'.repeat(500),
]

/** Cases of transports that send a message only if it was not sent before. */
export function registerOnce({ contract, subject, transport: { capabilities } }: CaseParts): void {
  if (!capabilities.deduplicates) return

  contract('sends a message that is sent once, and not again', async (rig) => {
    await rig.main.transport.send([rig.message('a', once())])
    await rig.main.transport.send([rig.message('b', once())])
    const [delivery] = await rig.take(1)
    await rig.main.transport.send([rig.message('c', once())])

    expect(delivery && factsOf(delivery)).toEqual(['a', 1])
    await rig.expectQuiet()
  })

  contract('does not send it again after it was acknowledged', async (rig) => {
    await rig.main.transport.send([rig.message('a', once())])
    await rig.ack([await rig.takeOne()])

    await rig.main.transport.send([rig.message('b', once())])

    await rig.expectQuiet()
  })

  contract('sends one of several that are equal, in one send', async (rig) => {
    await rig.main.transport.send(['a', 'b', 'c'].map((body) => rig.message(body, once())))

    expect(textsOf(await rig.take(1))).toEqual(['a'])
    await rig.expectQuiet()
  })

  contract('sends what has a later time, and nothing that has an earlier one', async (rig) => {
    for (const [body, at] of [
      ['first', AT],
      ['later', AT + 1],
      ['earlier', AT],
      ['much earlier', 0],
      ['the same', AT + 1],
      ['much later', 8_640_000_000_000_000],
    ] as const) {
      await rig.main.transport.send([rig.message(body, once({ at }))])
    }

    expect(textsOf(await rig.take(3))).toEqual(['first', 'later', 'much later'])
    await rig.expectQuiet()
  })

  contract('keeps keys apart, whatever they are', async (rig) => {
    for (const suffix of ['', ' again']) {
      const messages = ODD_KEYS.map((key, i) => rig.message(`${i}${suffix}`, once({ key })))
      await rig.main.transport.send(messages)
    }

    expect(textsOf(await rig.take(ODD_KEYS.length))).toEqual(ODD_KEYS.map((_, i) => `${i}`))
    await rig.expectQuiet()
  })

  contract('sends it again when the time to remember is over, and not before', async (rig) => {
    const sentAt = performance.now()
    await rig.main.transport.send([rig.message('a', once({ ttlMs: SHORT_MS }))])
    expect(textsOf(await rig.take(1))).toEqual(['a'])

    const again = await until(() => sendAndReceive(rig, rig.message('b', once({ ttlMs: LONG_MS }))), {
      timeoutMs: PATIENCE_MS,
    })

    // The clock of the engine has its own milliseconds.
    expect(performance.now() - sentAt).toBeGreaterThan(SHORT_MS - 10)
    expect(again).toEqual(['b'])
    expect(await sendAndReceive(rig, rig.message('c', once()))).toBeUndefined()
  })

  contract('sends such messages and others together, in their order', async (rig) => {
    await rig.main.transport.send([
      rig.message('plain 1'),
      rig.message('once 1', once({ key: '1' })),
      rig.message('plain 2'),
      rig.message('once 1 again', once({ key: '1' })),
      rig.message('once 2', once({ key: '2' })),
      rig.message('plain 3'),
    ])
    await rig.main.transport.send([
      rig.message('once 2 again', once({ key: '2' })),
      rig.message('plain 4'),
      rig.message('once 3', once({ key: '3' })),
    ])

    const expected = ['plain 1', 'once 1', 'plain 2', 'once 2', 'plain 3', 'plain 4', 'once 3']
    expect(textsOf(await rig.take(7))).toEqual(expected)
    await rig.expectQuiet()
  })

  contract('sends such messages to several queues', async (rig) => {
    const { queue, otherQueue } = rig
    const messages = ['a', 'b', 'c', 'd'].map((key, i) =>
      rig.message(key, { queue: i % 2 === 0 ? queue : otherQueue, ...once({ key }) }),
    )
    await rig.main.transport.send(messages)
    await rig.main.transport.send(messages)

    expect(textsOf(await rig.take(2))).toEqual(['a', 'c'])
    expect(textsOf(await rig.take(2, { queues: [otherQueue] }))).toEqual(['b', 'd'])
    await rig.expectQuiet({ queues: [queue, otherQueue] })
  })

  contract('sends many such messages', async (rig) => {
    const bodies = Array.from({ length: 500 }, (_, i) => `message ${i}`)
    const messages = bodies.map((body) => rig.message(body, once({ key: body })))
    await rig.main.transport.send(messages)
    await rig.main.transport.send(messages)

    expect(textsOf(await rig.take(500))).toEqual(bodies)
    await rig.expectQuiet()
  })

  if (capabilities.delays) registerDelays(contract)

  if (capabilities.priorities) {
    contract('honours the priority of a message that is sent once', async (rig) => {
      await rig.main.transport.send([
        rig.message('plain'),
        rig.message('urgent', { priority: 5, ...once() }),
        rig.message('urgent again', { priority: 9, ...once() }),
        rig.message('more urgent', { priority: 7 }),
      ])

      expect(textsOf(await rig.take(3))).toEqual(['more urgent', 'urgent', 'plain'])
      await rig.expectQuiet()
    })
  }

  if (subject.peer !== undefined) registerPeers(contract)
}

function registerDelays(contract: CaseParts['contract']): void {
  contract('delivers a message that is sent once, and delayed, at its time', async (rig) => {
    const deliverAt = Date.now() + 400
    await rig.main.transport.send([
      rig.message('later', { deliverAt, ...once() }),
      rig.message('again, and now', once()),
      rig.message('now', once({ key: 'another' })),
    ])

    expect(textsOf(await rig.take(1))).toEqual(['now'])
    expect(factsOf(await rig.takeOne())).toEqual(['later', 1])
    expect(Date.now() - deliverAt).toBeGreaterThanOrEqual(0)
    await rig.expectQuiet()
  })
}

function registerPeers(contract: CaseParts['contract']): void {
  contract('does not send what a peer has sent', async (rig) => {
    const peer = await rig.peer('client')
    await peer.transport.send([rig.message('of the peer', once())])

    await rig.main.transport.send([rig.message('the same', once()), rig.message('later', once({ at: AT + 1 }))])
    await peer.transport.send([rig.message('later, again', once({ at: AT + 1 }))])

    expect(textsOf(await rig.take(2))).toEqual(['of the peer', 'later'])
    await rig.expectQuiet()
  })

  contract('sends one of those that several send at the same time', async (rig) => {
    const senders = [rig.main, await rig.peer('client'), await rig.peer('client')]
    const keys = Array.from({ length: 50 }, (_, i) => `key ${i}`)

    await Promise.all(
      keys.flatMap((key) => senders.map(({ transport }) => transport.send([rig.message(key, once({ key }))]))),
    )

    expect(textsOf(await rig.take(keys.length)).sort()).toEqual([...keys].sort())
    await rig.expectQuiet()
  })
}

function once(more: Partial<SendOnce> = {}): Pick<WireMessage, 'once'> {
  return { once: { key: 'schedule', at: AT, ttlMs: LONG_MS, ...more } }
}

/** The texts of what came, if anything. */
async function sendAndReceive(rig: TransportRig, message: WireMessage): Promise<string[] | undefined> {
  await rig.main.transport.send([message])
  const deliveries = await rig.main.transport.receive({
    queues: [rig.queue],
    max: 1,
    signal: AbortSignal.timeout(rig.subject.quietMs ?? 200),
  })
  return deliveries.length === 0 ? undefined : textsOf(deliveries)
}
