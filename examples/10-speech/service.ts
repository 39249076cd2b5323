import { InferenceService, loadServeConfig } from 'kiq/serve'

import { ClipInput, ClipOutput, ClipPipeline } from './pipelines/clips.ts'
import { FrameInput, FrameOutput, FramePipeline } from './pipelines/frames.ts'

/** Two models over one network: single frames of many live streams, and whole recordings. */
export const service = new InferenceService({ config: await loadServeConfig('kiq.yaml') })
  .withModel('frames', {
    pipeline: FramePipeline,
    input: FrameInput,
    output: FrameOutput,
    workers: { module: import.meta.resolve('./pipelines/frames.ts') },
  })
  .withModel('clips', {
    pipeline: ClipPipeline,
    input: ClipInput,
    output: ClipOutput,
    batching: { maxBatchSize: 4 },
    workers: { module: import.meta.resolve('./pipelines/clips.ts') },
  })
