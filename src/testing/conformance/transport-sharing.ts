import { setTimeout as delay } from 'node:timers/promises'

import { expect } from 'vitest'

import type { CaseParts } from './transport.ts'
import type { Opened, TransportRig } from './transport-rig.ts'
import { PATIENCE_MS, textsOf } from './transport-rig.ts'

/** Cases with a second transport on the same storage. */
export function registerSharing({ contract, subject, transport: { capabilities } }: CaseParts): void {
  if (subject.peer === undefined) return

  contract('wakes a waiting receive on a send by a peer', async (rig) => {
    const producer = await rig.peer('client')
    const receiving = rig.take(1)
    await delay(50)

    const sentAt = performance.now()
    await producer.transport.send([rig.message('a')])

    expect(textsOf(await receiving)).toEqual(['a'])
    expect(performance.now() - sentAt).toBeLessThan(1_000)
  })

  contract('loses nothing of concurrent sends from two peers', async (rig) => {
    const producers = [rig.main, await rig.peer('client')]
    const bodies = producers.flatMap((_, producer) =>
      Array.from({ length: 500 }, (__, index) => `${producer}/${index}`),
    )

    await Promise.all(
      producers.flatMap(({ transport }, producer) =>
        Array.from({ length: 10 }, (_, batch) => {
          const start = producer * 500 + batch * 50
          return transport.send(bodies.slice(start, start + 50).map((body) => rig.message(body)))
        }),
      ),
    )

    const deliveries = await rig.take(1_000)
    expect(textsOf(deliveries).sort()).toEqual([...bodies].sort())
  })

  if (capabilities.broadcasts) {
    contract('gives every message to every worker', async (rig) => {
      const other = await rig.peer()
      await rig.send('a', 'b')

      expect(textsOf(await rig.take(2))).toEqual(['a', 'b'])
      expect(textsOf(await rig.take(2, { from: other }))).toEqual(['a', 'b'])
    })
    return
  }

  contract('gives each message to exactly one of two consumers', async (rig) => {
    const bodies = Array.from({ length: 200 }, (_, index) => `message ${index}`)
    const other = await rig.peer()
    await rig.send(...bodies)

    const received = await consumeUntil(bodies.length, rig, [rig.main, other])

    expect(received.sort()).toEqual([...bodies].sort())
    await rig.expectQuiet()
    await rig.expectQuiet({ from: other })
  })

  contract('does not give a message that one consumer holds to another', async (rig) => {
    const other = await rig.peer()
    await rig.send('a')
    await rig.takeOne()

    await rig.expectQuiet({ from: other })
  })
}

/** Lets all receive and ack at the same time until so many deliveries came. */
async function consumeUntil(count: number, rig: TransportRig, consumers: readonly Opened[]): Promise<string[]> {
  const received: string[] = []
  const stop = new AbortController()
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(PATIENCE_MS)])
  await Promise.all(
    consumers.map(async (consumer) => {
      while (!signal.aborted) {
        const deliveries = await consumer.transport.receive({ queues: [rig.queue], max: 7, signal })
        received.push(...textsOf(deliveries))
        await rig.ack(deliveries, consumer)
        if (received.length >= count) stop.abort()
      }
    }),
  )
  return received
}
