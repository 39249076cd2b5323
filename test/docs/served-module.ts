import { createServer } from 'node:net'

import { until } from '../../src/testing/until.ts'

/** Before the test gives up: then there is something to show. */
const LONGEST_START_MS = 40_000

/** Whether the server on that port answers that it is ready, before it ends or takes too long. */
export async function isReady(port: number, ended: Promise<unknown>): Promise<boolean> {
  let hasEnded = false
  void ended.then(() => (hasEnded = true))
  const look = async (): Promise<'ready' | 'ended' | undefined> => {
    if (hasEnded) return 'ended'
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined)
    await answer?.body?.cancel()
    return answer?.status === 200 ? 'ready' : undefined
  }
  const outcome = await until(look, { timeoutMs: LONGEST_START_MS, everyMs: 50 }).catch(() => undefined)
  return outcome === 'ready'
}

/** A port that nobody has; none that the system gives to connections that go out, so that it stays free for a moment. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const probe = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false))
      probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}
