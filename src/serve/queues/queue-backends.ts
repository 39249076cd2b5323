import { ConfigError } from '../../contract/index.ts'
import { show } from '../../util/show.ts'
import type { QueueBackend } from '../queue-backend.ts'
import { InMemoryQueueBackend } from './memory-queue.ts'
import { NoQueueBackend } from './no-queue.ts'
import { hasMethods } from './options.ts'
import { RedisQueueBackend } from './redis-queue.ts'
import { SqsQueueBackend } from './sqs-queue.ts'
import type { TaskQueueOptions } from './task-queue.ts'
import { TaskQueueBackend } from './task-queue.ts'

/** Options as a configuration file or a program gives them; a backend checks its own and ignores the others. */
export type QueueBackendOptions = Readonly<Record<string, unknown>>

/** Makes a backend. It opens no connection before the first message. */
export type QueueBackendFactory = (options: QueueBackendOptions) => QueueBackend

export interface RegisterQueueBackendOptions {
  /**
   * Whether a name that is taken gets this factory; otherwise it is an error.
   *
   * @defaultValue `false`
   */
  readonly replace?: boolean | undefined
}

const factories = new Map<string, QueueBackendFactory>([
  ['none', (options) => new NoQueueBackend(options)],
  ['memory', (options) => new InMemoryQueueBackend(options)],
  ['sqs', (options) => new SqsQueueBackend(options)],
  ['redis', (options) => new RedisQueueBackend(options)],
  ['taskiq', (options) => new TaskQueueBackend(options as unknown as TaskQueueOptions)],
])

/** The names that {@link createQueueBackend} knows now. */
export function queueBackendNames(): readonly string[] {
  return [...factories.keys()]
}

/**
 * Makes a backend available by name, for the configuration of every service of this process.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` for an empty name, or one that is taken.
 */
export function registerQueueBackend(
  name: string,
  factory: QueueBackendFactory,
  { replace = false }: RegisterQueueBackendOptions = {},
): void {
  if (typeof name !== 'string' || name === '') {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `The name of a queue backend is ${show(name)}. Use text that is not empty.`,
    )
  }
  if (factories.has(name) && !replace) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `There is a queue backend ${show(name)} already. Choose another name, or pass \`{ replace: true }\`.`,
    )
  }
  factories.set(name, factory)
}

/**
 * Makes the backend of that name: `none`, `memory`, `sqs`, `redis`, `taskiq`, or one that was registered.
 *
 * @param options - Those of the backend's class.
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` for an unknown name, with those that are known, or for bad options.
 */
export function createQueueBackend(name: string, options: QueueBackendOptions = {}): QueueBackend {
  const factory = factories.get(name)
  if (factory === undefined) {
    const known = queueBackendNames().join(', ')
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `There is no queue backend ${show(name)}. Use one of ${known}, or add it with registerQueueBackend().`,
    )
  }
  const backend: unknown = factory(options)
  if (hasMethods(backend, 'sendMessage')) return backend as QueueBackend
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `The factory of queue backend ${show(name)} gave ${show(backend)}. Return an object with \`sendMessage\`.`,
  )
}
