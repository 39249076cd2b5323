import { ConfigError } from '../contract/index.ts'
import type { Broker } from '../core/index.ts'
import { show } from '../util/show.ts'
import type { Container } from './container.ts'
import { OwnContainer } from './container.ts'
import { ContainerInjector } from './injector.ts'
import type { TaskMiddleware } from './task-middleware.ts'
import { hooksOf } from './task-middleware.ts'

export interface InjectionOptions {
  /** Hooks around the functions of all tasks of the broker. */
  readonly middlewares?: readonly TaskMiddleware[] | undefined
  /**
   * Whether `broker.shutdown()` closes the container. A worker of the command line always does, as its process ends then.
   *
   * @defaultValue `false`: others may use it, such as a web server
   */
  readonly closeContainer?: boolean | undefined
}

/**
 * Gives the tasks of a broker their dependencies. Call it before the broker starts, in the module that makes the broker: so
 * isolated tasks, which run in a thread or process with modules of their own, get a container there, too.
 *
 * When the broker starts as a worker everything is checked, and singletons are made before the first message is taken.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when the broker runs or has a container already.
 */
export function setupInjection(broker: Broker, container: Container, options: InjectionOptions = {}): void {
  const { middlewares = [], closeContainer = false } = options
  if (!(container instanceof OwnContainer)) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `setupInjection() was given ${show(container)} as the container. Use what createContainer() of this copy of kiq ` +
        'returns, and bridge() for containers of other libraries.',
    )
  }
  broker.withInjector(
    new ContainerInjector({
      broker,
      container,
      middlewares: middlewares.map(hooksOf),
      closesContainer: closeContainer,
    }),
  )
}
