import type { BatchRun } from '../pipeline-host.ts'
import type { ItemOutcome } from '../run-pipeline.ts'
import type { RunEnd } from './inference-worker.ts'

export interface AttemptsOptions<I, O> {
  readonly retries: number
  /** Runs inputs in a worker. Rejects when there is none for them. */
  readonly attempt: (inputs: readonly I[], run: BatchRun<O>, turn: Turn) => Promise<RunEnd<O>>
}

/** `again`: it has waited before, and comes before others. */
export type Turn = 'first' | 'again'

/** What has to run again. */
interface Left {
  readonly positions: readonly number[]
  /** `other`: because of something else, which counts only when it happens often; `none`: it does not count. */
  readonly blame: 'this' | 'other' | 'none'
}

/** Further attempts that do not count: a bound for a batch whose neighbours hang again and again. */
const MAX_INNOCENT = 8

/**
 * All attempts at one batch. Inputs whose worker died or was poisoned run again, in halves until those that are to blame
 * stand alone, and these as often as `retries` says. Nothing runs again after the abort of the signal, nor in a batch of
 * which an output was told already.
 */
export class BatchAttempts<I, O> {
  readonly #inputs: readonly I[]
  readonly #run: BatchRun<O>
  readonly #options: AttemptsOptions<I, O>
  readonly #outcomes: (ItemOutcome<O> | undefined)[]
  #hasBegun = false
  #turn: Turn = 'first'

  constructor(inputs: readonly I[], run: BatchRun<O>, options: AttemptsOptions<I, O>) {
    this.#inputs = inputs
    this.#run = run
    this.#options = options
    this.#outcomes = inputs.map(() => undefined)
  }

  /** One outcome per input, in their order; never rejects. */
  async outcomes(): Promise<readonly ItemOutcome<O>[]> {
    await this.#work([...this.#inputs.keys()])
    const { signal } = this.#run
    return this.#outcomes.map((outcome) => {
      if (outcome === undefined) return { error: signal.reason as unknown }
      // The worker has a copy of the reason only.
      return signal.aborted && 'error' in outcome ? { error: signal.reason as unknown } : outcome
    })
  }

  async #work(positions: readonly number[]): Promise<void> {
    let again = positions
    let retries = this.#options.retries
    let innocent = MAX_INNOCENT
    while (again.length > 0) {
      const left = await this.#attempt(again)
      if (this.#run.signal.aborted) return
      if (left.blame === 'none') {
        // The same again, elsewhere.
      } else if (left.blame === 'other' && innocent > 0) {
        innocent -= 1
      } else if (left.positions.length > 1) {
        const middle = Math.ceil(left.positions.length / 2)
        // One after the other: if both kill their worker, only one worker is missing at a time.
        await this.#work(left.positions.slice(0, middle))
        await this.#work(left.positions.slice(middle))
        return
      } else if (left.positions.length === 1) {
        if (retries === 0) return
        retries -= 1
      }
      again = left.positions
    }
  }

  /** Notes an outcome for every position, which stands if it does not run again. */
  async #attempt(positions: readonly number[]): Promise<Left> {
    const { run, hasTold } = this.#followed(positions)
    let end: RunEnd<O>
    try {
      end = await this.#options.attempt(
        positions.map((position) => this.#inputs[position] as I),
        run,
        this.#turn,
      )
      this.#turn = 'again'
    } catch (error) {
      for (const position of positions) this.#outcomes[position] = { error }
      return { positions: [], blame: 'this' }
    }
    const left = this.#note(positions, end)
    return hasTold() ? { positions: [], blame: 'this' } : left
  }

  #note(positions: readonly number[], end: RunEnd<O>): Left {
    switch (end.kind) {
      case 'aborted':
        return { positions: [], blame: 'this' }
      case 'returned':
        return { positions, blame: 'none' }
      case 'lost':
        for (const position of positions) this.#outcomes[position] = { error: end.error }
        return { positions, blame: end.blame }
      case 'unsendable': {
        for (const [index, error] of end.errors) {
          const position = positions[index]
          if (position !== undefined) this.#outcomes[position] = { error }
        }
        return { positions: positions.filter((_, index) => !end.errors.has(index)), blame: 'other' }
      }
      case 'done': {
        for (const [index, position] of positions.entries()) this.#outcomes[position] = end.outcomes[index]
        const failed = positions.filter((_, index) => 'error' in (end.outcomes[index] ?? {}))
        return { positions: end.isPoisoned ? failed : [], blame: 'this' }
      }
    }
  }

  /** The followers of these positions, by their place among them. */
  #followed(positions: readonly number[]): { readonly run: BatchRun<O>; readonly hasTold: () => boolean } {
    const { signal, followed, onOutput, onProgress } = this.#run
    const here = new Set<number>()
    for (const [index, position] of positions.entries()) if (followed?.has(position)) here.add(index)
    const onBegin = (): void => this.#begin()
    if (here.size === 0) return { run: { signal, onBegin }, hasTold: () => false }
    let hasTold = false
    const positionOf = (index: number): number => positions[index] as number
    return {
      hasTold: () => hasTold,
      run: {
        signal,
        onBegin,
        followed: here,
        onOutput: (index, output) => {
          hasTold = true
          return onOutput?.(positionOf(index), output)
        },
        onProgress: (index, value) => onProgress?.(positionOf(index), value),
      },
    }
  }

  /** What runs again has begun before. */
  #begin(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    this.#run.onBegin?.()
  }
}
