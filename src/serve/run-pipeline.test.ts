import { describe, expect, it } from 'vitest'

import { silentLogger } from '../contract/index.ts'
import { InferencePipeline } from './pipeline.ts'
import type { PipelineOutput } from './pipeline.ts'
import { runPipeline } from './run-pipeline.ts'

const context = { modelName: 'm', modelFolder: '.', common: {}, settings: {}, log: silentLogger }
const never = new AbortController().signal

interface Stages {
  readonly preprocess?: (inputs: readonly number[]) => unknown
  readonly predict?: (inputs: readonly number[], preprocessed: unknown) => unknown
  readonly postprocess?: (inputs: readonly number[], raw: unknown) => unknown
}

class Doubling extends InferencePipeline<number, { n: number }> {
  readonly runs: (readonly number[])[] = []
  readonly #stages: Stages

  constructor(stages: Stages = {}) {
    super(context)
    this.#stages = stages
  }

  override preprocess(inputs: readonly number[]): unknown {
    this.runs.push(inputs)
    return this.#stages.preprocess?.(inputs) ?? inputs.map((n) => n + 1)
  }

  override async predict(inputs: readonly number[], preprocessed: readonly number[]): Promise<unknown> {
    await Promise.resolve()
    return this.#stages.predict?.(inputs, preprocessed) ?? preprocessed.map((n) => n * 2)
  }

  override postprocess(inputs: readonly number[], raw: readonly number[]): readonly PipelineOutput<{ n: number }>[] {
    const own = this.#stages.postprocess?.(inputs, raw) as readonly PipelineOutput<{ n: number }>[] | undefined
    return own ?? raw.map((n) => ({ status: 'success', n }))
  }
}

const success = (n: number) => ({ output: { status: 'success', n } })

describe('runPipeline', () => {
  it('runs the three stages over the whole batch, once', async () => {
    const pipeline = new Doubling()

    expect(await runPipeline(pipeline, [1, 2, 3], { signal: never })).toEqual([success(4), success(6), success(8)])
    expect(pipeline.runs).toEqual([[1, 2, 3]])
  })

  it('runs nothing for nothing', async () => {
    const pipeline = new Doubling()

    expect(await runPipeline(pipeline, [], { signal: never })).toEqual([])
    expect(pipeline.runs).toEqual([])
  })

  it('keeps outputs that say of themselves that they failed', async () => {
    const bad = { status: 'error', error: 'cannot read this one' }
    const pipeline = new Doubling({ postprocess: () => [{ status: 'success', n: 1 }, bad] })

    expect(await runPipeline(pipeline, [1, 2], { signal: never })).toEqual([success(1), { output: bad }])
    expect(pipeline.runs).toHaveLength(1)
  })

  it.each(['preprocess', 'predict', 'postprocess'] as const)(
    'fails only the input for which %s throws, and no neighbour',
    async (stage) => {
      const poison = new Error('poison')
      const pipeline = new Doubling({
        [stage]: (inputs: readonly number[]) => {
          if (inputs.includes(5)) throw poison
          return undefined
        },
      })

      const outcomes = await runPipeline(pipeline, [1, 2, 3, 4, 5, 6, 7, 8], { signal: never })

      expect(outcomes).toEqual(
        [1, 2, 3, 4, 5, 6, 7, 8].map((n) => (n === 5 ? { error: poison } : success((n + 1) * 2))),
      )
      // The whole, its halves, and again of the half that failed: 1 + 2 × log2(8).
      expect(pipeline.runs).toHaveLength(7)
    },
  )

  it('fails every input for itself when all are bad', async () => {
    const pipeline = new Doubling({
      predict: (inputs) => {
        throw new Error(inputs.join())
      },
    })

    expect(await runPipeline(pipeline, [1, 2, 3], { signal: never })).toEqual(
      [1, 2, 3].map((n) => ({ error: new Error(String(n)) })),
    )
  })

  it.each([
    [[], 'postprocess() of model "m" returned 0 output(s) for 2 input(s). Return one for each, in their order.'],
    ['text', 'postprocess() of model "m" returned "text". Return a list with one output for each input.'],
    [[{ status: 'success' }, { n: 1 }], 'Output 1 of postprocess() of model "m" is {"n":1}. Return an object'],
    [[{ status: 'success' }, null], 'Output 1 of postprocess() of model "m" is null.'],
  ])('fails all, without trying again, when postprocess returns %j', async (outputs, message) => {
    const pipeline = new Doubling({ postprocess: () => outputs })

    const outcomes = await runPipeline(pipeline, [1, 2], { signal: never })

    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        error: { code: 'KIQ_PIPELINE_INVALID', message: expect.stringContaining(message) },
      })
    }
    expect(pipeline.runs).toHaveLength(1)
  })

  it('goes no further when nobody waits any more', async () => {
    const stop = new AbortController()
    const gone = new Error('gone')
    const pipeline = new Doubling({
      preprocess: () => {
        stop.abort(gone)
        return []
      },
    })

    expect(await runPipeline(pipeline, [1, 2, 3], { signal: stop.signal })).toEqual(
      [1, 2, 3].map(() => ({ error: gone })),
    )
    expect(pipeline.runs).toHaveLength(1)
  })
})
