import type { Logger } from '../../contract/index.ts'
import { defaultLogger } from '../../core/index.ts'
import type { Broker } from '../../core/index.ts'

/** Gives the broker our logger, unless its owner gave it one. */
export function useLogger(broker: Broker, log: Logger): void {
  if (broker.parts.logger === defaultLogger) broker.withLogger(log)
}
