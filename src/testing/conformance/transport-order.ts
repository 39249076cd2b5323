import { expect } from 'vitest'

import type { CaseParts } from './transport.ts'
import { factsOf, textsOf } from './transport-rig.ts'

/** How much later than asked a delayed message may come, in milliseconds. */
const LATENESS_MS = 250

/** Cases of transports that deliver otherwise than in the order of the sends: later, or by priority. */
export function registerOrder({ contract, subject, transport: { capabilities } }: CaseParts): void {
  if (capabilities.delays) registerDelays({ contract, subject })
  if (capabilities.priorities) registerPriorities(contract)
}

function registerDelays({ contract, subject }: Pick<CaseParts, 'contract' | 'subject'>): void {
  contract('delivers a delayed message not before its time, and soon after', async (rig) => {
    const deliverAt = Date.now() + 500
    await rig.main.transport.send([rig.message('later', { deliverAt })])

    const delivery = await rig.takeOne()

    expect(Date.now() - deliverAt).toBeGreaterThanOrEqual(0)
    expect(Date.now() - deliverAt).toBeLessThanOrEqual(LATENESS_MS)
    expect(factsOf(delivery)).toEqual(['later', 1])
    expect(await rig.ack([delivery])).toEqual(['settled'])
  })

  contract('delivers a delayed message that is sent while a receive waits', async (rig) => {
    const receiving = rig.takeOne()
    const deliverAt = Date.now() + 300
    await rig.main.transport.send([rig.message('later', { deliverAt })])

    expect(factsOf(await receiving)).toEqual(['later', 1])
    expect(Date.now() - deliverAt).toBeGreaterThanOrEqual(0)
    expect(Date.now() - deliverAt).toBeLessThanOrEqual(LATENESS_MS)
  })

  contract('does not let a delayed message block ready ones', async (rig) => {
    const deliverAt = Date.now() + 60_000
    await rig.main.transport.send([rig.message('later', { deliverAt }), rig.message('now')])
    await rig.send('now too')

    expect(textsOf(await rig.take(2))).toEqual(['now', 'now too'])
    await rig.expectQuiet()
  })

  contract('delivers a message at once whose time has passed', async (rig) => {
    await rig.main.transport.send([rig.message('past', { deliverAt: Date.now() - 60_000 })])

    const startedAt = performance.now()
    expect(textsOf(await rig.take(1))).toEqual(['past'])
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })

  contract('delivers delayed messages in the order of their times', async (rig) => {
    const now = Date.now()
    const later = [900, 300, 600].map((ms) => rig.message(`${ms}`, { deliverAt: now + ms }))
    await rig.main.transport.send(later)

    expect(textsOf(await rig.take(3))).toEqual(['300', '600', '900'])
  })

  contract('honours the delay of a replacement', async (rig) => {
    await rig.send('old')
    const delivery = await rig.takeOne()
    const deliverAt = Date.now() + 400
    await rig.main.transport.settle([{ kind: 'replace', delivery, message: rig.message('new', { deliverAt }) }])

    expect(factsOf(await rig.takeOne())).toEqual(['new', 1])
    expect(Date.now() - deliverAt).toBeGreaterThanOrEqual(0)
    expect(Date.now() - deliverAt).toBeLessThanOrEqual(LATENESS_MS)
  })

  if (subject.peer === undefined) return

  contract('delivers a message that a peer delayed', async (rig) => {
    const producer = await rig.peer('client')
    const receiving = rig.takeOne()
    const deliverAt = Date.now() + 400
    await producer.transport.send([rig.message('later', { deliverAt })])

    expect(factsOf(await receiving)).toEqual(['later', 1])
    expect(Date.now() - deliverAt).toBeGreaterThanOrEqual(0)
    expect(Date.now() - deliverAt).toBeLessThanOrEqual(LATENESS_MS)
  })
}

function registerPriorities(contract: CaseParts['contract']): void {
  contract('delivers higher priorities first', async (rig) => {
    const messages = [0, 5, 1, 9, undefined].map((priority) => rig.message(`${priority ?? 'none'}`, { priority }))
    await rig.main.transport.send(messages)

    expect(textsOf(await rig.take(5))).toEqual(['9', '5', '1', '0', 'none'])
  })

  contract('keeps the order of equal priorities', async (rig) => {
    const messages = ['5a', '1a', '5b', '1b', '5c'].map((body) => rig.message(body, { priority: Number(body[0]) }))
    await rig.main.transport.send(messages)

    expect(textsOf(await rig.take(5))).toEqual(['5a', '5b', '5c', '1a', '1b'])
  })

  contract('delivers a later message of higher priority before waiting ones', async (rig) => {
    await rig.send('a', 'b', 'c')
    const first = await rig.takeOne()
    await rig.main.transport.send([rig.message('urgent', { priority: 3 })])

    expect(textsOf([first, ...(await rig.take(3))])).toEqual(['a', 'urgent', 'b', 'c'])
  })

  contract('delivers negative priorities last', async (rig) => {
    await rig.main.transport.send([rig.message('low', { priority: -1 }), rig.message('normal')])

    expect(textsOf(await rig.take(2))).toEqual(['normal', 'low'])
  })

  contract('keeps the priority of a requeued message', async (rig) => {
    await rig.main.transport.send([rig.message('urgent', { priority: 3 }), rig.message('normal')])
    await rig.main.transport.settle([{ kind: 'requeue', delivery: await rig.takeOne() }])

    expect((await rig.take(2)).map(factsOf)).toEqual([
      ['urgent', 2],
      ['normal', 1],
    ])
  })
}
