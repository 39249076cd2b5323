import type { Logger } from '../../contract/index.ts'
import type { Call } from './environment.ts'

/** Milliseconds between signs of life, so that nothing in between takes the connection for dead. */
const HEARTBEAT_MS = 15_000

/** A server-sent event: a name and JSON. */
export function sseEvent(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

export interface StreamOptions {
  readonly kind: 'sse' | 'ndjson'
  readonly log: Logger
}

/**
 * An answer that is sent bit by bit, only as fast as it is read. When the client goes, the source is told by `return()`. A
 * source that fails ends the connection, since the status has been sent.
 */
export function streamResponse(c: Call, source: AsyncIterator<string>, { kind, log }: StreamOptions): Response {
  const encoder = new TextEncoder()
  let pending: Promise<IteratorResult<string>> | undefined
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        pending ??= source.next()
        const next = await (kind === 'sse' ? withHeartbeat(pending) : pending)
        if (next === 'heartbeat') {
          controller.enqueue(encoder.encode(':\n\n'))
          return
        }
        pending = undefined
        if (next.done === true) controller.close()
        else controller.enqueue(encoder.encode(next.value))
      } catch (err) {
        log.error({ err }, 'A stream of events failed.')
        controller.error(err)
      }
    },
    async cancel() {
      await source.return?.()
    },
  })
  return c.body(stream, 200, {
    'content-type': kind === 'sse' ? 'text/event-stream; charset=utf-8' : 'application/x-ndjson; charset=utf-8',
    'cache-control': 'no-cache',
    // Nginx would hold events back.
    'x-accel-buffering': 'no',
  })
}

async function withHeartbeat<T>(work: Promise<T>): Promise<T | 'heartbeat'> {
  let timer: NodeJS.Timeout | undefined
  const beat = new Promise<'heartbeat'>((resolve) => {
    timer = setTimeout(() => resolve('heartbeat'), HEARTBEAT_MS)
  })
  try {
    return await Promise.race([work, beat])
  } finally {
    clearTimeout(timer)
  }
}
