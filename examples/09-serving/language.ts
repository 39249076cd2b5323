import detection from '@vscode/vscode-languagedetection'
import { InferencePipeline } from 'kiq/serve'
import type { PipelineOutput, PipelineRun } from 'kiq/serve'
import { z } from 'zod'

export const CodeInput = z.object({ code: z.string().max(100_000) })
const Guess = z.object({ language: z.string(), confidence: z.number().min(0).max(1) })
export const LanguageOutput = Guess.extend({ candidates: z.array(Guess) })

type Input = z.infer<typeof CodeInput>
type Output = z.infer<typeof LanguageOutput>
type Guesses = readonly z.infer<typeof Guess>[]

/** The programming language of a text, by the small model that Visual Studio Code uses. It knows 54. */
export class LanguagePipeline extends InferencePipeline<Input, Output> {
  readonly #model = new detection.ModelOperations()

  override async warmup(): Promise<void> {
    await this.#model.runModel('for (const number of numbers) console.log(number)')
  }

  override preprocess(inputs: readonly Input[]): readonly string[] {
    return inputs.map(({ code }) => code.trim())
  }

  override async predict(_inputs: readonly Input[], texts: readonly string[], run: PipelineRun): Promise<unknown> {
    const all: Guesses[] = []
    // This model takes one text at a time.
    for (const text of texts) {
      run.signal.throwIfAborted()
      const results = await this.#model.runModel(text)
      all.push(results.map(({ languageId, confidence }) => ({ language: languageId, confidence })))
    }
    return all
  }

  override postprocess(_inputs: readonly Input[], all: readonly Guesses[]): readonly PipelineOutput<Output>[] {
    const most = Number(this.context.settings['candidates'] ?? 3)
    return all.map((guesses) => {
      const [best] = guesses
      if (best === undefined) return { status: 'error', error: 'The code is too short. Send 20 characters or more.' }
      return { status: 'success', ...best, candidates: guesses.slice(0, most) }
    })
  }

  override teardown(): void {
    this.#model.dispose()
  }
}
