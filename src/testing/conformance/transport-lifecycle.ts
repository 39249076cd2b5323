import { expect } from 'vitest'

import { KiqError } from '../../contract/index.ts'
import type { CaseParts } from './transport.ts'
import { factsOf, textsOf } from './transport-rig.ts'

export function registerLifecycle({ contract, subject, transport: { capabilities } }: CaseParts): void {
  contract('rejects a send before start with KIQ_BROKER_NOT_STARTED', async (rig) => {
    const { transport } = await rig.unstarted()

    const error = await transport.send([rig.message('early')]).catch((reason: unknown) => reason)

    expect(KiqError.is(error, 'KIQ_BROKER_NOT_STARTED'), String(error)).toBe(true)
  })

  contract('rejects a send after stop', async (rig) => {
    await rig.main.transport.stop()

    const error = await rig.send('late').catch((reason: unknown) => reason)

    expect(KiqError.is(error), String(error)).toBe(true)
  })

  contract('rejects a send whose signal has aborted', async (rig) => {
    const signal = AbortSignal.abort()

    const outcome = rig.main.transport.send([rig.message('given up')], { signal })

    await expect(outcome).rejects.toThrow()
  })

  contract('accepts empty batches', async (rig) => {
    await rig.main.transport.send([])

    expect(await rig.main.transport.settle([])).toEqual([])
  })

  contract('may be stopped twice', async (rig) => {
    await rig.send('a')

    await rig.main.transport.stop()
    await rig.main.transport.stop()
  })

  contract('may be stopped without having been started', async (rig) => {
    const { transport } = await rig.unstarted()

    await transport.stop()
  })

  contract('may be started again as worker after client', async (rig) => {
    const opened = await rig.unstarted()
    await rig.start(opened, 'client')

    await rig.start(opened, 'worker')

    await opened.transport.send([rig.message('a')])
    const delivery = await rig.takeOne({ from: opened })
    expect([factsOf(delivery), await rig.ack([delivery], opened)]).toEqual([['a', 1], ['settled']])
  })

  contract('ends a waiting receive when it is stopped', async (rig) => {
    const receiving = rig.main.transport
      .receive({ queues: [rig.queue], max: 1, signal: AbortSignal.timeout(5_000) })
      .catch(() => [])
    const startedAt = performance.now()

    await rig.main.transport.stop()

    expect(await receiving).toEqual([])
    expect(performance.now() - startedAt).toBeLessThan(4_000)
  })

  if (subject.peer && !capabilities.broadcasts) {
    contract('delivers what a client on the same storage sent', async (rig) => {
      const producer = await rig.peer('client')

      await producer.transport.send([rig.message('from the client')])

      expect(textsOf(await rig.take(1))).toEqual(['from the client'])
    })
  }

  if (subject.peer && capabilities.persists) {
    contract('keeps messages when every process has ended', async (rig) => {
      const next = await rig.unstarted(subject.peer?.(rig.main.transport))
      await rig.send('a', 'b')
      await rig.main.transport.stop()

      await rig.start(next)

      expect((await rig.take(2, { from: next })).map(factsOf)).toEqual([
        ['a', 1],
        ['b', 1],
      ])
    })
  }

  if (capabilities.redelivers) {
    contract('hands back what it held when it stops, to itself after the next start', async (rig) => {
      await rig.send('held', 'waiting')
      await rig.takeOne()
      await rig.main.transport.stop()

      await rig.start(rig.main)

      const deliveries = await rig.take(2)
      expect(textsOf(deliveries).sort()).toEqual(['held', 'waiting'])
      expect(await rig.ack(deliveries)).toEqual(['settled', 'settled'])
    })
  }

  if (capabilities.redelivers && subject.peer) {
    contract('hands back what it held when it stops, to others at once', async (rig) => {
      const other = await rig.peer()
      await rig.send('a', 'b', 'c')
      await rig.take(2)

      await rig.main.transport.stop()

      // At once, instead of after the lease.
      const withinMs = Math.max(500, 0.6 * (subject.leaseMs ?? 10_000))
      expect(textsOf(await rig.take(3, { from: other, withinMs })).sort()).toEqual(['a', 'b', 'c'])
    })
  }
}
