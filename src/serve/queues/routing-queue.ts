import { ConfigError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import { defaultLogger } from '../../core/index.ts'
import { runAll } from '../../util/run-all.ts'
import { show } from '../../util/show.ts'
import type { QueueBackend } from '../queue-backend.ts'
import { hasMethods } from './options.ts'
import { WarnOnce } from './warn-once.ts'

export interface RoutingQueueOptions {
  /** Prefix of queue names → backend for them, which gets the whole name. Of several that fit the longest wins. */
  readonly routes: Readonly<Record<string, QueueBackend>>
  /** For names that no prefix fits. Without it they are refused. */
  readonly fallback?: QueueBackend | undefined
  /** @defaultValue warnings and errors on standard error */
  readonly logger?: Logger | undefined
}

/**
 * Gives each message to one of several backends, by the prefix of the queue's name.
 *
 * @example
 * ```ts
 * new RoutingQueueBackend({ routes: { 'billing.': sqs, 'ui.': redis }, fallback: new NoQueueBackend() })
 * ```
 */
export class RoutingQueueBackend implements QueueBackend {
  /** Longest prefix first. */
  readonly #routes: readonly (readonly [prefix: string, backend: QueueBackend])[]
  readonly #fallback: QueueBackend | undefined
  readonly #warnings: WarnOnce
  readonly #noRoute: string
  #closing: Promise<void> | undefined

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for a route that leads to no backend. */
  constructor({ routes, fallback, logger = defaultLogger }: RoutingQueueOptions) {
    this.#routes = Object.entries(routes).sort(([one], [other]) => other.length - one.length)
    this.#fallback = fallback
    this.#warnings = new WarnOnce(logger)
    for (const [prefix, backend] of this.#routes) checkBackend(`routes[${show(prefix)}]`, backend)
    if (fallback !== undefined) checkBackend('fallback', fallback)
    const prefixes = this.#routes.map(([prefix]) => show(prefix)).join(', ')
    this.#noRoute = `fits none of the routes (${prefixes || 'there are none'}). Add a route, or a \`fallback\`.`
  }

  /** @returns What the backend of the route says; `false` when there is no route, which is logged. */
  async sendMessage(queueName: string, message: string): Promise<boolean> {
    const [, backend = this.#fallback] = this.#routes.find(([prefix]) => queueName.startsWith(prefix)) ?? []
    if (backend) return await backend.sendMessage(queueName, message)
    this.#warnings.warn(queueName, `A message was not sent: queue ${show(queueName)} ${this.#noRoute}`)
    return false
  }

  /** Closes all backends that it was given, each once. All are closed, also after one that failed; that error is thrown. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const backends = new Set(this.#routes.map(([, backend]) => backend))
    if (this.#fallback) backends.add(this.#fallback)
    const errors = await runAll([...backends].map((backend) => () => backend.close?.()))
    if (errors.length > 0) throw errors[0]
  }
}

function checkBackend(name: string, value: unknown): void {
  if (hasMethods(value, 'sendMessage')) return
  throw new ConfigError('KIQ_CONFIG_INVALID', `\`${name}\` is ${show(value)}. Use an object with \`sendMessage\`.`)
}
