import type { App, Call } from '../environment.ts'
import { readJson } from '../body.ts'
import { EventQueue } from '../event-queue.ts'
import { sseEvent, streamResponse } from '../event-stream.ts'
import { findModel } from '../find-model.ts'
import { CLIENT_GONE, problemOf, problemText } from '../problem.ts'
import { requestTime } from '../request-time.ts'
import type { RequestTime } from '../request-time.ts'
import type { Served } from '../served.ts'
import { failedEnvelope } from '../../output-envelope.ts'
import type { OutputEnvelope } from '../../output-envelope.ts'
import type { ServiceModel } from '../../service-model.ts'

/** Outputs of one stream that wait for their client. */
const MAX_BUFFERED = 10_000

type StreamKind = 'sse' | 'ndjson'

/** One input, answered at once. */
export function addPredictSync(app: App, served: Served): void {
  const handle = async (c: Call): Promise<Response> => {
    const model = findModel(c, served.models)
    const { maxPayloadBytes, requestTimeout } = served.config.appSettings.httpConfig
    const time = requestTime(c, requestTimeout)
    let isStreaming = false
    try {
      const input = await model.parse(await readJson(c, { maxBytes: maxPayloadBytes, signal: time.signal }))
      const kind = streamKind(c.req.header('accept'))
      if (kind === undefined) return c.json(await model.infer(input, { signal: time.signal }))
      const response = await new OutputStream({ served, model, time, requestId: c.get('requestId'), kind }).open(
        c,
        input,
      )
      isStreaming = true
      return response
    } finally {
      if (!isStreaming) time.end()
    }
  }
  app.post('/predict_sync', handle)
  app.post('/models/:model/predict_sync', handle)
}

const KINDS: ReadonlyMap<string, StreamKind | undefined> = new Map([
  ['application/json', undefined],
  ['text/event-stream', 'sse'],
  ['application/x-ndjson', 'ndjson'],
])

/** What comes first of those that the client accepts. */
function streamKind(accept = ''): StreamKind | undefined {
  const types = accept.split(',').map((type) => type.split(';', 1)[0]?.trim().toLowerCase() ?? '')
  return KINDS.get(types.find((type) => KINDS.has(type)) ?? '')
}

interface OutputStreamParts {
  readonly served: Served
  readonly model: ServiceModel
  readonly time: RequestTime
  readonly requestId: string
  readonly kind: StreamKind
}

/**
 * The outputs of one input, sent as they are made. The answer begins with the first of them: what fails before has a
 * status of its own.
 */
class OutputStream {
  readonly #parts: OutputStreamParts
  readonly #events: EventQueue<string>
  #begun: () => void = () => {}

  constructor(parts: OutputStreamParts) {
    this.#parts = parts
    const { time } = parts
    this.#events = new EventQueue({
      max: MAX_BUFFERED,
      onFull: () => time.abort(new Error(`The client has not read ${MAX_BUFFERED} outputs; the stream is given up.`)),
      onReturn: () => time.abort(new Error('The client has closed the stream.')),
    })
  }

  async open(c: Call, input: unknown): Promise<Response> {
    const { served, model, time, kind } = this.#parts
    const begun = new Promise<void>((resolve) => {
      this.#begun = resolve
    })
    const outcome = model.infer(input, { signal: time.signal, onOutput: (output) => this.#output(output) })
    // A failure before the first output is the answer itself.
    await Promise.race([begun, outcome]).catch((error: unknown) => {
      time.end()
      throw error
    })
    void this.#finish(outcome)
    return streamResponse(c, this.#events, { kind, log: served.log })
  }

  #output(output: OutputEnvelope): void {
    this.#events.push(this.#parts.kind === 'sse' ? sseEvent('output', output) : line(output))
    this.#begun()
  }

  async #finish(outcome: Promise<OutputEnvelope>): Promise<void> {
    const { served, model, time, kind, requestId } = this.#parts
    try {
      const output = await outcome
      if (kind === 'sse') this.#events.push(sseEvent('end', output))
      // Lines are the outputs themselves; without a stream there is one.
      else if (!model.streams) this.#events.push(line(output))
    } catch (error) {
      const problem = problemOf(error, requestId)
      if (problem.isInternal && !time.signal.aborted) {
        served.log.error({ err: error, requestId, model: model.name }, 'A stream of outputs failed.')
      }
      if (problem.status !== CLIENT_GONE) {
        this.#events.push(
          kind === 'sse' ? `event: error\ndata: ${problemText(problem)}\n\n` : line(failedEnvelope(problem.detail)),
        )
      }
    } finally {
      time.end()
      this.#events.end()
    }
  }
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`
}
