import { ConfigError } from '../contract/index.ts'
import type { Broker } from './broker.ts'
import type { DeclareTask } from './declare-task.ts'
import { declareWith } from './declare-task.ts'
import { addSharedTask } from './registry.ts'

/**
 * Declares tasks before a broker is chosen, for libraries. Every broker of the process executes them; to send them,
 * name a broker once with {@link SharedBroker.defaultBroker}, or per call with `kicker().withBroker(broker)`.
 */
export class SharedBroker {
  #broker: Broker | undefined

  /** Sends shared tasks through this broker from now on. */
  defaultBroker(broker: Broker): void {
    this.#broker = broker
  }

  /** See {@link DeclareTask}. */
  readonly task: DeclareTask = declareWith(({ definition }) => {
    addSharedTask(definition)
    return () => this.#require(definition.name)
  })

  #require(taskName: string): Broker {
    if (this.#broker) return this.#broker
    throw new ConfigError(
      'KIQ_BROKER_MISSING',
      `Shared task "${taskName}" has no broker to send it. Call sharedBroker.defaultBroker(broker), or ` +
        'task.kicker().withBroker(broker).kiq(…).',
    )
  }
}

/** The shared broker of this process. */
export const sharedBroker: SharedBroker = new SharedBroker()
