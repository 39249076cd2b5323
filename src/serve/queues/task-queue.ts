import { ConfigError } from '../../contract/index.ts'
import type { Broker } from '../../core/index.ts'
import { show } from '../../util/show.ts'
import type { QueueBackend } from '../queue-backend.ts'
import { hasMethods } from './options.ts'
import { parseMessage } from './parse-message.ts'

export interface TaskQueueOptions {
  /** Sends the tasks. One that is not started is started for the first message, and shut down by `close()`. */
  readonly broker: Broker
  /**
   * Name of the task for a queue.
   *
   * @defaultValue `process_` before the name of the queue
   */
  readonly taskName?: ((queueName: string) => string) | undefined
  /**
   * Queue of the broker for a queue that a request named; `undefined` for the broker's own.
   *
   * @defaultValue always the broker's own
   */
  readonly queue?: ((queueName: string) => string | undefined) | undefined
}

/**
 * Sends a task for each message, with the parsed JSON as its only argument, for a worker in TypeScript or Python.
 *
 * @example
 * ```ts
 * const backend = new TaskQueueBackend({ broker: new RedisStreamBroker({ url }) })
 * // A message to queue `results` is executed by:  async def process_results(message: dict)
 * ```
 */
export class TaskQueueBackend implements QueueBackend {
  readonly #broker: Broker
  readonly #taskName: (queueName: string) => string
  readonly #queue: (queueName: string) => string | undefined
  #starting: Promise<void> | undefined
  /** Whether the broker runs because of a message here. */
  #hasStarted = false

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` without a broker. */
  constructor({ broker, taskName, queue }: TaskQueueOptions) {
    // Options may come from a file, which has no brokers.
    if (!hasMethods(broker, 'externalTask', 'startup', 'shutdown')) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `\`broker\` of the queue backend is ${show(broker)}. Pass a broker, for example of \`kiq/redis\`.`,
      )
    }
    this.#broker = broker
    this.#taskName = taskName ?? ((queueName) => `process_${queueName}`)
    this.#queue = queue ?? (() => undefined)
  }

  /**
   * @returns `true` when the transport has accepted the task.
   * @throws {MessageError} `KIQ_ARGUMENTS_INVALID` for text that is no JSON.
   * @throws {BrokerError} `KIQ_SEND_FAILED`, `KIQ_SEND_TIMED_OUT`
   */
  async sendMessage(queueName: string, message: string): Promise<boolean> {
    const argument = parseMessage(queueName, message)
    if (!this.#broker.isStarted) await this.#start()
    const task = this.#broker.externalTask<[unknown]>(this.#taskName(queueName), { queue: this.#queue(queueName) })
    await task.kiq(argument)
    return true
  }

  /** Shuts the broker down if it was started here. */
  async close(): Promise<void> {
    // Who sends is told of a start that fails.
    await this.#starting?.catch(() => undefined)
    if (!this.#hasStarted) return
    this.#hasStarted = false
    await this.#broker.shutdown()
  }

  async #start(): Promise<void> {
    this.#starting ??= this.#broker.startup().finally(() => {
      this.#starting = undefined
    })
    await this.#starting
    this.#hasStarted = true
  }
}
