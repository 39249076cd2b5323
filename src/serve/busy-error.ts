import { KiqError } from '../contract/index.ts'

/** Too many requests wait already. */
export class BusyError extends KiqError {
  /** Milliseconds after which there is room again, as far as can be told; at least 1,000. */
  readonly retryAfterMs: number

  constructor(waiting: number, retryAfterMs: number) {
    super(
      'KIQ_SERVE_BUSY',
      `${waiting} requests wait already, as many as may. Try again in ${Math.ceil(retryAfterMs / 1000)} s, or raise ` +
        '`max_queue_size`.',
    )
    this.retryAfterMs = retryAfterMs
  }
}
