import type { Logger } from '../../contract/index.ts'
import { defaultLogger } from '../../core/index.ts'
import type { QueueBackend } from '../queue-backend.ts'

export interface NoQueueOptions {
  /** @defaultValue warnings and errors on standard error; what is dropped is logged at debug level */
  readonly logger?: Logger | undefined
}

/** Accepts every message and drops it: for services whose clients ask for the state of their jobs instead. */
export class NoQueueBackend implements QueueBackend {
  readonly #logger: Logger

  constructor({ logger = defaultLogger }: NoQueueOptions = {}) {
    this.#logger = logger
  }

  async sendMessage(queueName: string, message: string): Promise<boolean> {
    this.#logger.debug({ queue: queueName, length: message.length }, 'A message was dropped: there are no queues.')
    return true
  }

  async close(): Promise<void> {}
}
