import { inferAll, parseAll } from '../batch-call.ts'
import { readJson } from '../body.ts'
import type { App, Call } from '../environment.ts'
import { findModel } from '../find-model.ts'
import { HttpError } from '../problem.ts'
import { requestTime } from '../request-time.ts'
import type { Served } from '../served.ts'

const MAX_INPUTS = 1_000

/** Several inputs, answered together. */
export function addPredictBatch(app: App, served: Served): void {
  const { maxPayloadBytes, requestTimeout } = served.config.appSettings.httpConfig
  const handle = async (c: Call): Promise<Response> => {
    const model = findModel(c, served.models)
    const time = requestTime(c, requestTimeout)
    try {
      const inputs = await parseAll(
        model,
        listOf(await readJson(c, { maxBytes: maxPayloadBytes, signal: time.signal })),
      )
      return c.json(await inferAll({ served, model, time, requestId: c.get('requestId') }, inputs))
    } finally {
      time.end()
    }
  }
  app.post('/predict_batch', handle)
  app.post('/models/:model/predict_batch', handle)
}

function listOf(body: unknown): readonly unknown[] {
  if (Array.isArray(body) && body.length > 0 && body.length <= MAX_INPUTS) return body
  const what = Array.isArray(body) ? `a list of ${body.length}` : 'no list'
  throw new HttpError(422, `The body is ${what}. Send a list of 1 to ${MAX_INPUTS} inputs.`)
}
