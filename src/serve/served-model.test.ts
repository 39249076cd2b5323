import { describe, expect, it, onTestFinished } from 'vitest'

import { deferred } from '../../test/support/deferred.ts'
import { recordingLogger } from '../../test/support/recording-logger.ts'
import { InProcessHost } from './in-process-host.ts'
import type { PipelineClass } from './in-process-host.ts'
import { InferencePipeline } from './pipeline.ts'
import type { PipelineOutput } from './pipeline.ts'
import { ServedModel } from './served-model.ts'
import type { BatchingOptions } from './served-model.ts'

interface Output {
  readonly text: string
}

/** Notes what happens to it. */
let log: string[] = []
let made = 0

class Shouting extends InferencePipeline<string, Output> {
  readonly number: number = (made += 1)

  override setup(): void | Promise<void> {
    log.push(`setup ${this.number}`)
  }

  override warmup(): void {
    log.push(`warmup ${this.number}`)
  }

  override preprocess(inputs: readonly string[]): readonly string[] {
    return inputs.map((text) => text.trim())
  }

  override async predict(_inputs: readonly string[], texts: readonly string[]): Promise<unknown> {
    return await Promise.resolve(texts.map((text) => text.toUpperCase()))
  }

  override postprocess(inputs: readonly string[], raw: readonly string[]): readonly PipelineOutput<Output>[] {
    log.push(`batch of ${inputs.length} by ${this.number}`)
    return raw.map((text) => ({ status: 'success', text }))
  }

  override teardown(): void {
    log.push(`teardown ${this.number}`)
  }
}

function serve(pipeline: PipelineClass<string, Output> = Shouting, batching: Partial<BatchingOptions<string>> = {}) {
  log = []
  made = 0
  const logger = recordingLogger()
  const context = { modelName: 'shout', modelFolder: '.', common: {}, settings: {}, log: logger }
  const model = new ServedModel<string, Output>({
    modelName: 'shout',
    createHost: () => new InProcessHost(pipeline, context),
    batching: { maxBatchSize: 8, ...batching },
    log: logger,
  })
  onTestFinished(() => model.stop({ waiting: 'fail' }))
  return { model, logger }
}

describe('a served model', () => {
  it('answers single requests out of batches', async () => {
    const { model } = serve()
    await model.start()

    const answers = await Promise.all(['a ', ' b', 'c'].map((text) => model.infer(text)))

    expect(answers).toEqual(['A', 'B', 'C'].map((text) => ({ status: 'success', text })))
    await model.stop()
    expect(log).toEqual(['setup 1', 'warmup 1', 'batch of 3 by 1', 'teardown 1'])
    expect(model.state).toBe('stopped')
  })

  it('takes requests only while it is ready', async () => {
    const loaded = deferred()
    class Slow extends Shouting {
      override async setup(): Promise<void> {
        await loaded.promise
      }
    }
    const { model } = serve(Slow)

    await expect(model.infer('a')).rejects.toThrow('Model "shout" takes no requests: it is made.')
    const started = model.start()
    expect(await model.isHealthy()).toBe(false)
    await expect(model.infer('a')).rejects.toMatchObject({ code: 'KIQ_SERVE_STOPPING' })
    loaded.resolve()
    await started
    expect(await model.isHealthy()).toBe(true)
    await model.stop()
    await expect(model.infer('a')).rejects.toThrow('it is stopped')
  })

  it('cleans up after a start that failed, and can be started again', async () => {
    let failures = 1
    class Flaky extends Shouting {
      override warmup(): void {
        if ((failures -= 1) >= 0) throw new Error('out of memory')
      }
    }
    const { model } = serve(Flaky)

    await expect(model.start()).rejects.toThrow('out of memory')
    expect(model.state).toBe('failed')
    expect(log).toEqual(['setup 1', 'teardown 1'])
    await model.start()
    expect(await model.infer('a')).toEqual({ status: 'success', text: 'A' })
  })

  it('fails a bad request alone, and says so in the log', async () => {
    class Picky extends Shouting {
      override preprocess(inputs: readonly string[]): readonly string[] {
        if (inputs.includes('poison')) throw new RangeError('cannot read this one')
        return inputs
      }
    }
    const { model, logger } = serve(Picky)
    await model.start()

    const answers = await Promise.allSettled(['a', 'poison', 'b'].map((text) => model.infer(text)))

    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(answers[1]).toMatchObject({ reason: { message: 'cannot read this one' } })
    expect(logger.lines).toMatchObject([{ level: 'error', fields: { model: 'shout', failed: 1, size: 3 } }])
  })

  it('goes over to a new pipeline when the files change, without a gap', async () => {
    const gate = deferred()
    class Gated extends Shouting {
      override async predict(inputs: readonly string[], texts: readonly string[]): Promise<unknown> {
        if (texts.includes('slow')) await gate.promise
        return await super.predict(inputs, texts)
      }
    }
    const { model } = serve(Gated, { concurrency: 2 })
    await model.start()
    const slow = model.infer('slow')
    await new Promise((resolve) => setTimeout(resolve, 5))

    const reloaded = model.reload()
    while (!log.includes('warmup 2')) await new Promise((resolve) => setImmediate(resolve))
    expect(await model.infer('new')).toEqual({ status: 'success', text: 'NEW' })
    expect(log.at(-1)).toBe('batch of 1 by 2')
    gate.resolve()
    expect(await slow).toEqual({ status: 'success', text: 'SLOW' })
    await reloaded

    expect(log.slice(-2)).toEqual(['batch of 1 by 1', 'teardown 1'])
  })

  it('lets a pipeline take over changed files by itself', async () => {
    class Reloading extends Shouting {
      override onModelsReload(): void {
        log.push('reload')
      }
    }
    const { model } = serve(Reloading)
    await model.start()
    await model.reload()

    expect(log).toEqual(['setup 1', 'warmup 1', 'reload'])
  })

  it('keeps the old pipeline when the new one does not start', async () => {
    class Once extends Shouting {
      override setup(): void {
        if (this.number > 1) throw new Error('the new files are broken')
      }
    }
    const { model } = serve(Once)
    await model.start()

    await expect(model.reload()).rejects.toThrow('the new files are broken')
    expect(await model.infer('a')).toEqual({ status: 'success', text: 'A' })
    expect(model.state).toBe('ready')
  })

  it.each([
    ['says that it is not', () => false],
    [
      'throws',
      () => {
        throw new Error('no device')
      },
    ],
  ])('is not healthy when its pipeline %s', async (_what, health) => {
    class Sick extends Shouting {
      override health(): boolean {
        return health()
      }
    }
    const { model } = serve(Sick)
    await model.start()

    expect(await model.isHealthy()).toBe(false)
    expect(model.state).toBe('ready')
  })

  it('works off what waits when it stops, or fails it', async () => {
    const { model } = serve(Shouting, { waitMs: 60_000 })
    await model.start()
    const waiting = model.infer('a')
    await model.stop()
    expect(await waiting).toEqual({ status: 'success', text: 'A' })

    const { model: other } = serve(Shouting, { waitMs: 60_000 })
    await other.start()
    const failing = other.infer('a').catch((error: unknown) => error)
    await other.stop({ waiting: 'fail' })
    expect(await failing).toMatchObject({ code: 'KIQ_SERVE_STOPPING' })
  })
})
