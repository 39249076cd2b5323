import { setTimeout as delay } from 'node:timers/promises'

import { expect } from 'vitest'

import type { Delivery } from '../../contract/index.ts'
import { AWKWARD_BODIES } from './bytes.ts'
import type { CaseParts } from './transport.ts'
import type { TransportRig } from './transport-rig.ts'
import { expectSameBytes, textsOf } from './transport-rig.ts'

/** Time for a `receive` to have begun to wait; nothing outside can see that it has. */
const SETTLING_IN_MS = 50

export function registerDelivery({ contract }: CaseParts): void {
  for (const [what, body] of AWKWARD_BODIES) {
    contract(`delivers ${what} unchanged`, async (rig) => {
      await rig.send(body)

      const delivery = await rig.takeOne()

      expectSameBytes(delivery.body, body)
      await rig.ack([delivery])
    })
  }

  contract('delivers in order to one consumer', async (rig) => {
    await rig.send('a', 'b')
    await rig.send('c')
    await rig.send('d', 'e')

    expect(textsOf(await rig.take(5))).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  contract('delivers each of a batch of 1000 exactly once', async (rig) => {
    const bodies = Array.from({ length: 1_000 }, (_, index) => `message ${index}`)
    await rig.send(...bodies)

    const deliveries = await rig.take(1_000)

    expect(textsOf(deliveries).sort()).toEqual([...bodies].sort())
    expect(new Set(await rig.ack(deliveries))).toEqual(new Set(['settled']))
    await rig.expectQuiet()
  })

  contract('never returns more than max', async (rig) => {
    await rig.send('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j')
    const sizes: number[] = []
    const signal = AbortSignal.timeout(10_000)

    for (let received = 0; received < 10 && !signal.aborted; received = sizes.reduce((sum, size) => sum + size, 0)) {
      sizes.push((await rig.main.transport.receive({ queues: [rig.queue], max: 3, signal })).length)
    }

    expect(Math.max(...sizes)).toBeLessThanOrEqual(3)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(10)
  })

  contract('gives more on the next receive while earlier deliveries are unsettled', async (rig) => {
    await rig.send('a', 'b')

    const [first, second] = [await rig.takeOne(), await rig.takeOne()]

    expect(textsOf([first, second])).toEqual(['a', 'b'])
    expect(await rig.ack([second, first])).toEqual(['settled', 'settled'])
  })

  contract('marks the first delivery as attempt 1', async (rig) => {
    await rig.send('a')

    expect((await rig.takeOne()).attempt).toBe(1)
  })

  contract('names the queue of a delivery', async (rig) => {
    await rig.send('a')

    expect((await rig.takeOne()).queue).toBe(rig.queue)
  })

  contract('gives the task id of a delivery, or none', async (rig) => {
    const [message] = await rig.send('a')

    expect([undefined, message?.taskId]).toContain((await rig.takeOne()).taskId)
  })

  contract('keeps two queues apart', async (rig) => {
    const { transport } = rig.main
    await transport.send([rig.message('here'), rig.message('there', { queue: rig.otherQueue })])

    const here = await rig.takeOne()
    await rig.expectQuiet()
    const there = await rig.takeOne({ queues: [rig.otherQueue] })

    expect(textsOf([here, there])).toEqual(['here', 'there'])
    expect(there.queue).toBe(rig.otherQueue)
  })

  contract('receives from several queues', async (rig) => {
    const queues = [rig.queue, rig.otherQueue]
    await rig.main.transport.send([
      rig.message('here'),
      rig.message('there', { queue: rig.otherQueue }),
      rig.message('here too'),
    ])

    const deliveries = await rig.take(3, { queues })

    expect(deliveries.map((delivery) => [delivery.queue, textsOf([delivery])[0]]).sort()).toEqual(
      [
        [rig.queue, 'here'],
        [rig.queue, 'here too'],
        [rig.otherQueue, 'there'],
      ].sort(),
    )
    expect(await rig.ack(deliveries)).toEqual(['settled', 'settled', 'settled'])
  })

  contract('receives from whichever of several queues has something', async (rig) => {
    const { queue, otherQueue } = rig
    for (const used of [otherQueue, otherQueue, queue, queue, otherQueue, queue]) {
      const receiving = rig.take(1, { queues: [queue, otherQueue] })
      await rig.main.transport.send([rig.message('a', { queue: used })])

      const deliveries = await receiving
      expect(deliveries.map((delivery) => delivery.queue)).toEqual([used])
      await rig.ack(deliveries)
    }
  })

  contract('does not let a queue that never empties starve another', async (rig) => {
    const many = Array.from({ length: 10 }, () => 'many')
    await rig.send(...many, ...many, ...many)
    await rig.main.transport.send([rig.message('one', { queue: rig.otherQueue })])

    const received: string[] = []
    while (received.length < 300 && !received.includes('one')) {
      const deliveries = await rig.take(10, { queues: [rig.queue, rig.otherQueue] })
      received.push(...textsOf(deliveries))
      await rig.ack(deliveries)
      await rig.send(...many)
    }

    expect(received).toContain('one')
  })

  contract('ends a waiting receive with nothing within a second of the abort', async (rig) => {
    const stop = new AbortController()
    const receiving = waitFor(rig, stop.signal)
    await delay(SETTLING_IN_MS)

    const abortedAt = performance.now()
    stop.abort()

    expect(await receiving).toEqual([])
    expect(performance.now() - abortedAt).toBeLessThan(1_000)
  })

  contract('ends a receive whose signal has aborted already', async (rig) => {
    const startedAt = performance.now()

    expect(await waitFor(rig, AbortSignal.abort())).toEqual([])
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })

  contract('loses nothing when a receive is aborted', async (rig) => {
    const bodies = Array.from({ length: 40 }, (_, index) => `${index}`)
    const received: Delivery[] = []
    for (const body of bodies) {
      const stop = new AbortController()
      const receiving = waitFor(rig, stop.signal)
      const sending = rig.send(body)
      setImmediate(() => stop.abort())
      received.push(...(await receiving))
      await sending
    }

    received.push(...(await rig.take(bodies.length - received.length)))

    expect(textsOf(received).sort()).toEqual([...bodies].sort())
    await rig.expectQuiet()
  })

  contract('settles after the receive was aborted', async (rig) => {
    const stop = new AbortController()
    await rig.send('a')
    const deliveries = await waitFor(rig, stop.signal)

    stop.abort()

    expect(await rig.ack(deliveries)).toEqual(['settled'])
  })

  contract('wakes a waiting receive on a send by the same transport', async (rig) => {
    const receiving = waitFor(rig, AbortSignal.timeout(10_000))
    await delay(SETTLING_IN_MS)

    const sentAt = performance.now()
    await rig.send('a')

    expect(textsOf(await receiving)).toEqual(['a'])
    expect(performance.now() - sentAt).toBeLessThan(1_000)
  })
}

function waitFor(rig: TransportRig, signal: AbortSignal): Promise<readonly Delivery[]> {
  return rig.main.transport.receive({ queues: [rig.queue], max: 10, signal })
}
