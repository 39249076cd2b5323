// The service as its users have it: schemas, limits, metrics, and the model in processes of its own.
import { InferenceService, loadServeConfig } from 'kiq/serve'
import { z } from 'zod'

import { VadPipeline } from './serve-pipeline.mjs'

/** @typedef {{ readonly maxBatchSize: number, readonly waitMs?: number, readonly workers?: number, readonly inFlight?: number, readonly times?: number }} Options */

const options = /** @type {Options} */ (JSON.parse(process.argv[2] ?? '{}'))
const { maxBatchSize, waitMs = 0, workers = 1, inFlight = 1, times = 1 } = options
const service = new InferenceService({
  modelName: 'vad',
  pipeline: VadPipeline,
  input: z.object({ samples: z.base64(), state: z.base64() }),
  output: z.object({ speech: z.number(), state: z.string() }),
  workers: { module: import.meta.resolve('./serve-pipeline.mjs'), min: workers, max: workers },
  config: await loadServeConfig([], {
    env: {},
    overrides: {
      appSettings: {
        appPrefix: 'bench',
        batchConfig: { maxBatchSize, waitMs },
        // The model is in a package, where it does not change.
        deploymentConfig: { volumeReloadIntervalSeconds: null, allowConcurrentInputs: inFlight },
      },
      modelSettings: { localModelRepositoryFolder: './models', modelEntries: { vad: { times } }, common: {} },
    },
  }),
})
const server = await service.listen({ port: 0 })
process.send?.({ port: server.port })
process.once('disconnect', () => void server.close())
