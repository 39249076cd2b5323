import { BrokerError } from '../contract/index.ts'
import type {
  Logger,
  ResultBackend,
  ResultRecord,
  SettleOutcome,
  Settlement,
  Transport,
  WireMessage,
} from '../contract/index.ts'
import { sleep } from '../util/abort.ts'
import { backoffMs } from '../util/backoff.ts'
import { Coalescer } from '../util/coalescer.ts'
import type { BatchFailure } from '../util/coalescer.ts'

const MAX_BATCH = 1_000
const MAX_FLIGHTS = 2
const BACKOFF = { baseMs: 50, maxMs: 5_000 }

export interface SettlerParts {
  readonly transport: Transport
  readonly resultBackend: ResultBackend | undefined
  readonly logger: Logger
  /** Ends the retries: the worker's time is over. */
  readonly giveUp: AbortSignal
}

/**
 * Writes outcomes: results first, acknowledgements after, or both in one transaction where the transport joins the
 * result backend. What fails is tried again with backoff until it succeeds or the worker gives up, so that no message is
 * acknowledged whose result is not stored.
 */
export class Settler {
  /** Results travel with the settlement, in its transaction. */
  readonly joined: boolean
  readonly #parts: SettlerParts
  readonly #settlements: Coalescer<Settlement, SettleOutcome>
  readonly #records: Coalescer<ResultRecord, undefined>

  constructor(parts: SettlerParts) {
    const { transport, resultBackend } = parts
    this.#parts = parts
    this.joined = resultBackend !== undefined && (transport.joins?.(resultBackend) ?? false)
    this.#settlements = new Coalescer(
      (all) => this.#retrying('settle', () => transport.settle(all)),
      MAX_BATCH,
      MAX_FLIGHTS,
    )
    this.#records = new Coalescer<ResultRecord, undefined>(async (all) => {
      await this.#retrying('save results', async () => await resultBackend?.save(all))
      return []
    }, MAX_BATCH)
  }

  /** Told once: the outcome, or the failure after which the message will be delivered again. */
  push(settlement: Settlement, done: (failure: BatchFailure | undefined, outcome: SettleOutcome) => void): void {
    this.#settlements.push([settlement], (failure, outcomes) => done(failure, outcomes[0] ?? 'settled'))
  }

  async settle(settlement: Settlement): Promise<SettleOutcome> {
    const [outcome = 'settled'] = await this.#settlements.add([settlement])
    return outcome
  }

  /** Sends a message apart from a settlement, as stubbornly as a settlement. */
  async send(message: WireMessage): Promise<void> {
    await this.#retrying('send a retry', async () => await this.#parts.transport.send([message]))
  }

  /** Stores a result apart from a settlement. */
  async save(record: ResultRecord): Promise<void> {
    await this.#records.add([record])
  }

  async #retrying<T>(what: string, work: () => Promise<T>): Promise<T> {
    const { logger, giveUp, transport } = this.#parts
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work()
      } catch (error) {
        if (attempt === 1) logger.warn({ err: error, transport: transport.name }, `Could not ${what}; trying again.`)
        if (giveUp.aborted) {
          throw new BrokerError(
            'KIQ_WORKER_STOPPED',
            `Could not ${what} before the worker's time was over; the messages will be delivered again.`,
            { cause: error },
          )
        }
        await sleep(backoffMs(attempt, BACKOFF), giveUp)
      }
    }
  }
}
