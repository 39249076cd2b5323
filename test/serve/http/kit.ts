import { onTestFinished } from 'vitest'
import { z } from 'zod'

import { InMemoryBroker } from '../../../src/index.ts'
import { InferencePipeline, InferenceService, InMemoryQueueBackend, loadServeConfig } from '../../../src/serve/index.ts'
import type {
  AppSettings,
  InferenceServiceOptions,
  PartialSettings,
  PipelineOutput,
  PipelineRun,
  ServerHandle,
} from '../../../src/serve/index.ts'
import type { RecordingLogger } from '../../support/recording-logger.ts'
import { recordingLogger } from '../../support/recording-logger.ts'

export const KEY = 'test-key'

export const Input = z.object({ text: z.string().min(1) })
export const Output = z.object({ shout: z.string(), length: z.number() })

export type TextInput = z.infer<typeof Input>
export type TextOutput = z.infer<typeof Output>

/** What the pipelines of a test were asked to do, and what they wait for. */
export class Script {
  /** Batches, by the texts of their inputs. */
  readonly batches: (readonly string[])[] = []
  /** Reasons for which batches were given up. */
  readonly aborts: unknown[] = []
  /** Batches wait for it. */
  gate: Promise<void> = Promise.resolve()
}

/** Shouts. `throw` fails, `bad` is refused by name, `wrong` does not fit the output schema. */
export function shoutingPipeline(script: Script) {
  return class Shouting extends InferencePipeline<TextInput, TextOutput> {
    override preprocess(inputs: readonly TextInput[]): readonly string[] {
      return inputs.map(({ text }) => text)
    }

    override async predict(
      _inputs: readonly TextInput[],
      texts: readonly string[],
      run: PipelineRun,
    ): Promise<unknown> {
      script.batches.push(texts)
      run.signal.addEventListener('abort', () => script.aborts.push(run.signal.reason))
      await script.gate
      if (texts.includes('throw')) throw new Error('internal: /secret/path')
      return texts.map((text) => text.toUpperCase())
    }

    override postprocess(inputs: readonly TextInput[], raw: readonly string[]): readonly PipelineOutput<TextOutput>[] {
      return raw.map((shout, index) => {
        const text = inputs[index]?.text
        if (text === 'bad') return { status: 'refused', error: 'cannot shout this' }
        if (text === 'wrong') return { status: 'success', shout: 1 as never, length: 1 }
        return { status: 'success', shout, length: shout.length }
      })
    }
  }
}

export interface ServedKit {
  readonly service: InferenceService<never>
  readonly server: ServerHandle
  readonly url: string
  readonly script: Script
  readonly logger: RecordingLogger
  readonly queues: InMemoryQueueBackend
  /** With the key, and JSON both ways. */
  readonly post: (path: string, body: unknown, headers?: Readonly<Record<string, string>>) => Promise<Answer>
  readonly get: (path: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>
  readonly send: (method: string, path: string, init?: RequestInit) => Promise<Response>
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
}

export interface KitOptions {
  readonly settings?: PartialSettings<AppSettings> | undefined
  readonly service?: Partial<InferenceServiceOptions<TextInput, TextOutput>> | undefined
  /** Further models, with the same pipeline. */
  readonly models?: readonly string[] | undefined
}

/** A service with model `shout` that listens, until the test ends. */
export async function serveShouting({ settings, service: own, models = [] }: KitOptions = {}): Promise<ServedKit> {
  const script = new Script()
  const logger = recordingLogger()
  const queues = new InMemoryQueueBackend()
  const pipeline = shoutingPipeline(script)
  const config = await loadServeConfig([], {
    env: {},
    logger,
    overrides: {
      appSettings: { appPrefix: 'shop', authConfig: { apiKeys: [KEY] }, ...settings },
      modelSettings: { modelEntries: Object.fromEntries(['shout', ...models].map((name) => [name, {}])) },
    },
  })
  const service = new InferenceService({
    modelName: 'shout',
    pipeline,
    input: Input,
    output: Output,
    config,
    queueBackend: queues,
    broker: new InMemoryBroker({ logger }),
    logger,
    ...own,
  })
  for (const name of models) service.withModel(name, { pipeline, input: Input, output: Output })
  const server = await service.listen({ port: 0 })
  onTestFinished(() => server.close({ timeout: 0 }))
  const send = async (method: string, path: string, init: RequestInit = {}): Promise<Response> =>
    await fetch(`${server.url}${path}`, {
      method,
      ...init,
      headers: { authorization: `Bearer ${KEY}`, ...init.headers },
    })
  return {
    service: service as InferenceService<never>,
    server,
    url: server.url,
    script,
    logger,
    queues,
    send,
    post: async (path, body, headers) =>
      await answerOf(
        await send('POST', path, {
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json', ...headers },
        }),
      ),
    get: async (path, headers) => await answerOf(await send('GET', path, headers === undefined ? {} : { headers })),
  }
}

export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, headers: response.headers, body: isJson ? (JSON.parse(text) as unknown) : text }
}

/** The events of a stream of server-sent events that has ended; comments left out. */
export function eventsOf(text: string): readonly { readonly event: string; readonly data: unknown }[] {
  return text
    .split('\n\n')
    .filter((block) => block.startsWith('event:'))
    .map((block) => {
      const [event = '', data = ''] = block.split('\n')
      return { event: event.slice('event: '.length), data: JSON.parse(data.slice('data: '.length)) as unknown }
    })
}
