import { onTestFinished } from 'vitest'

import { InferencePipeline } from '../../../src/serve/index.ts'
import type { PipelineOutput, PipelineRun } from '../../../src/serve/index.ts'
import { until } from '../../../src/testing/until.ts'
import type { Deferred } from '../../support/deferred.ts'
import { deferred } from '../../support/deferred.ts'
import { serveShouting } from './kit.ts'
import type { Answer, KitOptions, ServedKit, TextInput, TextOutput } from './kit.ts'

export const SOON = { timeoutMs: 10_000 }

/** The fields of a job that tests look at. */
export interface JobJson {
  readonly job_id: string
  readonly model_name: string
  readonly state: string
  readonly created_at: string
  readonly started_at: string | null
  readonly finished_at: string | null
  readonly duration_ms: number | null
  readonly attempt: number
  readonly progress: unknown
  readonly result: unknown
  readonly error: string | null
  readonly meta: unknown
  readonly queue: { readonly name: string; readonly state: string; readonly attempts: number } | null
  readonly webhook: { readonly url: string; readonly state: string; readonly attempts: number } | null
}

export interface JobsKit extends ServedKit {
  /** Resolves with the id of a job that was accepted. */
  readonly submit: (body: object, headers?: Readonly<Record<string, string>>) => Promise<string>
  /** Resolves when the job has that state. */
  readonly inState: (id: string, state: string) => Promise<JobJson>
  readonly metrics: () => Promise<string>
}

/** A service whose jobs are asked for by HTTP alone. */
export async function serveJobs(options: KitOptions = {}): Promise<JobsKit> {
  const kit = await serveShouting(options)
  return {
    ...kit,
    submit: async (body, headers) => idOf(await kit.post('/predict_async', body, headers)),
    inState: async (id, state) =>
      await until(async () => {
        const job = (await kit.get(`/jobs/${id}`)).body as JobJson
        return job.state === state ? job : undefined
      }, SOON),
    metrics: async () => String((await kit.get('/metrics')).body),
  }
}

export function idOf({ status, body }: Answer): string {
  if (status !== 202) throw new Error(`The job was answered ${status}: ${JSON.stringify(body)}`)
  return (body as JobJson).job_id
}

/** Batches wait until the function is called, at the latest at the end of the test. */
export function held({ script }: ServedKit): () => void {
  const gate = deferred()
  script.gate = gate.promise
  onTestFinished(() => gate.resolve())
  return gate.resolve
}

export interface Spelling {
  readonly pipeline: new (
    ...args: ConstructorParameters<typeof InferencePipeline>
  ) => InferencePipeline<TextInput, TextOutput>
  /** One for each letter. */
  readonly gates: readonly Deferred<void>[]
}

/** A pipeline that yields the letters of a text, each when its gate opens, and tells how many it has spelt. */
export function spellingPipeline(letters: number): Spelling {
  const gates = Array.from({ length: letters }, () => deferred())
  onTestFinished(() => gates.forEach(({ resolve }) => resolve()))
  class Letters extends InferencePipeline<TextInput, TextOutput> {
    override preprocess(inputs: readonly TextInput[]): readonly string[] {
      return inputs.map(({ text }) => text.toUpperCase())
    }

    override async *predict(inputs: readonly TextInput[], texts: readonly string[], run: PipelineRun) {
      for (const [position, gate] of gates.entries()) {
        await gate.promise
        for (const index of inputs.keys()) run.progress(index, { spelt: position + 1 })
        yield texts.map((text) => text.charAt(position))
      }
    }

    override postprocess(
      _inputs: readonly TextInput[],
      found: readonly string[],
    ): readonly PipelineOutput<TextOutput>[] {
      return found.map((shout) => ({ status: 'success', shout, length: shout.length }))
    }

    override collect(outputs: readonly PipelineOutput<TextOutput>[]): PipelineOutput<TextOutput> {
      const shout = outputs.map((output) => output.shout ?? '').join('')
      return { status: 'success', shout, length: shout.length }
    }
  }
  return { pipeline: Letters, gates }
}
