import { InferencePipeline } from '../../../../dist/serve/pipeline.js'
import { isInferenceWorker } from '../../../../dist/serve/workers/index.js'

class NotExported extends InferencePipeline {
  preprocess(inputs) {
    return inputs.map(({ value }) => value.toUpperCase())
  }

  predict(_, texts) {
    return texts
  }

  postprocess(_, texts) {
    return texts.map((text) => ({ status: 'success', value: `${text} from ${where}` }))
  }
}

// At load: a service looks at it when its module is loaded.
const where = isInferenceWorker() ? 'an inference worker' : 'a service'

export const service = { servedPipelines: new Map([['m', NotExported]]) }
