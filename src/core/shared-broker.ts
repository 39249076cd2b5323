import { ConfigError } from '../contract/index.ts'
import type { SchemaInput, SchemaOutput, StandardSchema } from '../contract/index.ts'
import type { Broker, RecordOptions } from './broker.ts'
import { bindTask, declareTask } from './broker.ts'
import { addSharedTask } from './registry.ts'
import type { TaskOptions } from './task-definition.ts'
import type { RecordTask, Task } from './task.ts'

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

  task<S extends StandardSchema, F>(
    definition: RecordOptions & { readonly input: S; readonly run: (input: SchemaOutput<S>) => F },
  ): RecordTask<[input: SchemaInput<S>], F>
  task<F>(definition: RecordOptions & { readonly run: () => F }): RecordTask<[], F>
  task<I, F>(definition: RecordOptions & { readonly run: (input: I) => F }): RecordTask<[input: I], F>
  task<A extends readonly unknown[], F>(
    name: string,
    run: (...args: A) => F,
    options?: TaskOptions & { readonly input?: StandardSchema | undefined },
  ): Task<A, F>
  task(
    first: string | (RecordOptions & { readonly input?: StandardSchema; readonly run: (...args: never[]) => unknown }),
    run?: (...args: never[]) => unknown,
    options: TaskOptions & { readonly input?: StandardSchema | undefined } = {},
  ): unknown {
    const declared = declareTask(first, run, options)
    addSharedTask(declared.definition)
    return bindTask(declared, () => this.#require(declared.definition.name))
  }

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
