import { InMemoryBroker } from '../../adapters/memory/memory-broker.ts'
import type { Logger } from '../../contract/index.ts'
import type { Broker } from '../../core/index.ts'

/** Gives the broker our logger, unless its owner gave it one. */
export function useLogger(broker: Broker, log: Logger): void {
  // A broker without options has the default one.
  const { logger: defaultLogger } = new InMemoryBroker().parts
  if (broker.parts.logger === defaultLogger) broker.withLogger(log)
}
