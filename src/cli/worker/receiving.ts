import type { Transport } from '../../contract/index.ts'
import type { Receiving } from './messages.ts'

/** After a failure, a call that has waited so long without another one shows that the transport answers again. */
const RECOVERED_AFTER_MS = 5_000

/**
 * Watches the calls of `receive` on this transport, for the health check: an idle worker waits in one call for hours,
 * and so does its `lastFetchAt`; only the call itself tells waiting from failing.
 */
export function observeReceiving(transport: Transport, now: () => number = () => performance.now()): () => Receiving {
  const receive = transport.receive.bind(transport)
  let calledAt: number | undefined
  let hasFailed = false
  let isStopped = false
  transport.receive = async (options) => {
    calledAt = now()
    try {
      const deliveries = await receive(options)
      hasFailed = false
      return deliveries
    } catch (error) {
      hasFailed = true
      throw error
    } finally {
      calledAt = undefined
      isStopped = options.signal.aborted
    }
  }
  return () => {
    if (isStopped) return 'stopped'
    if (hasFailed && (calledAt === undefined || now() - calledAt < RECOVERED_AFTER_MS)) return 'failing'
    return calledAt === undefined ? 'busy' : 'waiting'
  }
}
