import { InferencePipeline } from '../../../../dist/serve/pipeline.js'
import type { PipelineOutput } from '../../../../dist/serve/pipeline.js'

interface Text {
  readonly value: string
}

export default class Typed extends InferencePipeline<Text, Text> {
  override preprocess(inputs: readonly Text[]): readonly string[] {
    return inputs.map(({ value }) => value)
  }

  override predict(_inputs: readonly Text[], preprocessed: unknown): unknown {
    return preprocessed
  }

  override postprocess(_inputs: readonly Text[], raw: unknown): readonly PipelineOutput<Text>[] {
    return (raw as readonly string[]).map((value) => ({ status: 'success', value: `typed ${value}` }))
  }
}
