import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'

import { InMemoryBroker } from '../../src/index.ts'
import { InferencePipeline, InferenceService, loadServeConfig } from '../../src/serve/index.ts'
import type { PipelineOutput } from '../../src/serve/index.ts'
import { until } from '../../src/testing/until.ts'
import { recordingLogger } from '../support/recording-logger.ts'

interface Greeting {
  readonly greeting: string
}

/** Its model is a word in a file. */
class Greeter extends InferencePipeline<{ name: string }, Greeting> {
  #word = ''

  override setup(): void {
    this.#word = readFileSync(join(this.context.modelFolder, 'word.txt'), 'utf8')
    if (this.#word === '') throw new Error('The file is empty.')
  }

  override preprocess(inputs: readonly { name: string }[]): readonly string[] {
    return inputs.map(({ name }) => name)
  }

  override predict(_inputs: readonly { name: string }[], names: readonly string[]): readonly string[] {
    return names.map((name) => `${this.#word} ${name}`)
  }

  override postprocess(
    _inputs: readonly { name: string }[],
    greetings: readonly string[],
  ): readonly PipelineOutput<Greeting>[] {
    return greetings.map((greeting) => ({ status: 'success', greeting }))
  }
}

async function serveWord(word: string) {
  const folder = mkdtempSync(join(tmpdir(), 'kiq-models-'))
  const file = join(folder, 'word.txt')
  writeFileSync(file, word)
  const logger = recordingLogger()
  const service = new InferenceService({
    modelName: 'greeter',
    pipeline: Greeter,
    input: z.object({ name: z.string() }),
    config: await loadServeConfig([], {
      env: {},
      logger,
      overrides: {
        appSettings: { appPrefix: 'greetings', deploymentConfig: { volumeReloadIntervalSeconds: 1 } },
        modelSettings: { localModelRepositoryFolder: folder, modelEntries: { greeter: {} } },
      },
    }),
    broker: new InMemoryBroker({ logger }),
    logger,
  })
  onTestFinished(async () => {
    await service.close({ timeout: 0 })
    rmSync(folder, { recursive: true })
  })
  await service.start()
  return { file, logger, greet: async () => (await service.infer({ name: 'Ada' }))['greeting'] }
}

describe('files of a model that change', () => {
  it('are taken over by the service that runs', async () => {
    const { file, greet } = await serveWord('hello')
    expect(await greet()).toBe('hello Ada')

    writeFileSync(file, 'goodbye')

    expect(await until(async () => (await greet()) === 'goodbye Ada', { timeoutMs: 20_000 })).toBe(true)
  })

  it('leave the old ones in place when they cannot be loaded', async () => {
    const { file, greet, logger } = await serveWord('hello')

    writeFileSync(file, '')

    await until(() => logger.lines.some(({ level }) => level === 'error' || level === 'warn'), { timeoutMs: 20_000 })
    expect(await greet()).toBe('hello Ada')
  })
})
