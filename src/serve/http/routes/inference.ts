import { inferAll, parseAll } from '../batch-call.ts'
import { readJson } from '../body.ts'
import type { App, Call } from '../environment.ts'
import { findModel } from '../find-model.ts'
import { decodeInfer, encodeInfer, modelMetadata, serverMetadata } from '../oip/index.ts'
import { modelSchemas } from '../model-schemas.ts'
import { HttpError } from '../problem.ts'
import { requestTime } from '../request-time.ts'
import type { Served } from '../served.ts'

/** Where the Open Inference Protocol, version 2, begins. */
export const INFERENCE_ROOT = '/v2'

/**
 * The Open Inference Protocol, version 2: tensors in, tensors out. The first dimension is the batch.
 *
 * @see {@link https://github.com/kserve/open-inference-protocol} for the specification.
 */
export function addInference(app: App, served: Served): void {
  const { maxPayloadBytes, requestTimeout } = served.config.appSettings.httpConfig
  app.get(INFERENCE_ROOT, (c) => c.json(serverMetadata({ name: served.config.appName, version: served.version })))
  app.get(`${INFERENCE_ROOT}/health/live`, (c) => c.json({ live: true }))
  app.get(`${INFERENCE_ROOT}/health/ready`, async (c) => {
    if (await served.isReady()) return c.json({ ready: true })
    throw new HttpError(503, 'The service is not ready.')
  })
  const infer = async (c: Call): Promise<Response> => {
    const model = findVersion(c, served)
    const time = requestTime(c, requestTimeout)
    try {
      const { id, items, outputs } = decodeInfer(await readJson(c, { maxBytes: maxPayloadBytes, signal: time.signal }))
      const inputs = await parseAll(model, items)
      const envelopes = await inferAll({ served, model, time, requestId: c.get('requestId') }, inputs)
      return c.json(encodeInfer({ modelName: model.name, id, envelopes, outputs }))
    } finally {
      time.end()
    }
  }
  for (const path of [`${INFERENCE_ROOT}/models/:model`, `${INFERENCE_ROOT}/models/:model/versions/:version`]) {
    app.get(path, (c) => {
      const model = findVersion(c, served)
      return c.json(modelMetadata({ name: model.name, ...modelSchemas(model) }))
    })
    app.get(`${path}/ready`, async (c) => {
      const model = findVersion(c, served)
      if (await model.served.isHealthy()) return c.json({ name: model.name, ready: true })
      throw new HttpError(503, `Model "${model.name}" is not ready.`)
    })
    app.post(`${path}/infer`, infer)
  }
}

function findVersion(c: Call, { models }: Served): ReturnType<typeof findModel> {
  const model = findModel(c, models)
  const version = c.req.param('version')
  if (version === undefined || version === '1') return model
  throw new HttpError(404, `Model "${model.name}" has no version ${JSON.stringify(version)}. Use 1, or none.`)
}
