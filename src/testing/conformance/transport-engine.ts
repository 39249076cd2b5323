import { expect } from 'vitest'

import { BrokerError } from '../../contract/index.ts'
import { until } from '../until.ts'
import type { CaseParts } from './transport.ts'
import { textsOf } from './transport-rig.ts'

const OUTAGE_TIMEOUT_MS = 90_000
const RECOVERY_MS = 30_000

/** Cases in which the server behind the transport goes away and comes back. */
export function registerEngine({ contract, subject: { stopEngine, startEngine } }: CaseParts): void {
  if (stopEngine === undefined || startEngine === undefined) return

  const withoutEngine = async (run: () => Promise<void>): Promise<void> => {
    await stopEngine()
    try {
      await run()
    } finally {
      await startEngine()
    }
  }

  contract(
    'rejects a send with a BrokerError while the engine is down',
    async (rig) => {
      await rig.send('before')
      await withoutEngine(async () => {
        const signal = AbortSignal.timeout(3_000)
        const startedAt = performance.now()

        const error = await rig.main.transport
          .send([rig.message('lost')], { signal })
          .catch((reason: unknown) => reason)

        expect(error).toBeInstanceOf(BrokerError)
        expect(performance.now() - startedAt).toBeLessThan(5_000)
      })
    },
    OUTAGE_TIMEOUT_MS,
  )

  contract(
    'sends and receives again when the engine is back, without a new start',
    async (rig) => {
      await rig.send('before')
      await rig.ack(await rig.take(1))
      await withoutEngine(async () => undefined)

      await until(
        async () => {
          const signal = AbortSignal.timeout(5_000)
          const sending = rig.main.transport.send([rig.message('after')], { signal })
          return await sending.then(
            () => true,
            () => false,
          )
        },
        { timeoutMs: RECOVERY_MS, everyMs: 200 },
      )

      const { queue, main } = rig
      const received = await until(
        async () => {
          const signal = AbortSignal.timeout(5_000)
          const receiving = main.transport.receive({ queues: [queue], max: 1, signal })
          const deliveries = await receiving.catch(() => [])
          return deliveries.length > 0 ? deliveries : undefined
        },
        { timeoutMs: RECOVERY_MS, everyMs: 200 },
      )
      expect([textsOf(received), await rig.ack(received)]).toEqual([['after'], ['settled']])
    },
    OUTAGE_TIMEOUT_MS,
  )
}
