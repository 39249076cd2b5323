import type { Logger } from '../../contract/index.ts'

/** Names remembered; requests choose them, so there may be any number. */
const MAX_NAMES = 1_000

/** Warns once per name: each message to a queue that cannot work would say the same again, at every attempt. */
export class WarnOnce {
  readonly #logger: Logger
  readonly #warned = new Set<string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** A name is warned of again after a thousand others. */
  warn(queueName: string, message: string): void {
    if (this.#warned.has(queueName)) return
    if (this.#warned.size >= MAX_NAMES) this.#warned.clear()
    this.#warned.add(queueName)
    this.#logger.warn({ queue: queueName }, message)
  }
}
