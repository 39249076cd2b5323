import { getHeapStatistics } from 'node:v8'

import { InferencePipeline } from '../../../../dist/serve/pipeline.js'

/** Tells the limit of its heap in MiB. */
export class Memory extends InferencePipeline {
  preprocess(inputs) {
    return inputs
  }

  predict(inputs) {
    return inputs.map(() => getHeapStatistics().heap_size_limit / 2 ** 20)
  }

  postprocess(_, raw) {
    return raw.map((value) => ({ status: 'success', value }))
  }
}
