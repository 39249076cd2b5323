import { ConfigError } from '../contract/index.ts'
import type { FailureControl, Logger, Middleware, TaskMessage, TaskResult } from '../contract/index.ts'

type Hook = Exclude<keyof Middleware, 'name'>

/**
 * The middlewares of a broker, sorted by hook once, so that a message pays only for hooks that exist. Order and error
 * rules are those of {@link Middleware}.
 */
export class MiddlewareStack {
  #all: readonly Middleware[] = []
  readonly #byHook = new Map<Hook, readonly Middleware[]>()

  get all(): readonly Middleware[] {
    return this.#all
  }

  add(middlewares: readonly Middleware[]): void {
    for (const middleware of middlewares) {
      if (typeof middleware !== 'object' || (middleware as unknown) === null) {
        throw new ConfigError(
          'KIQ_CONFIG_INVALID',
          `A middleware is a ${typeof middleware}${describe(middleware)}. Pass an object with hooks; did you forget \`new\`?`,
        )
      }
    }
    this.#all = [...this.#all, ...middlewares]
    this.#byHook.clear()
  }

  /** In list order. */
  with(hook: Hook): readonly Middleware[] {
    let found = this.#byHook.get(hook)
    if (found === undefined) {
      found = this.#all.filter((middleware) => typeof middleware[hook] === 'function')
      this.#byHook.set(hook, found)
    }
    return found
  }

  async preSend(message: TaskMessage): Promise<TaskMessage> {
    return await this.#transform('preSend', message)
  }

  async preExecute(message: TaskMessage): Promise<TaskMessage> {
    return await this.#transform('preExecute', message)
  }

  async onError(message: TaskMessage, result: TaskResult, error: unknown, control: FailureControl): Promise<void> {
    for (const middleware of this.with('onError').toReversed()) {
      await middleware.onError?.(message, result, error, control)
    }
  }

  async postExecute(message: TaskMessage, result: TaskResult): Promise<void> {
    for (const middleware of this.with('postExecute').toReversed()) await middleware.postExecute?.(message, result)
  }

  /** Runs hooks whose errors change nothing any more: each is logged, and the others still run. */
  async notify(
    hook: 'postSend' | 'postSave' | 'sendFailed',
    message: TaskMessage,
    detail: unknown,
    logger: Logger,
  ): Promise<void> {
    for (const middleware of this.with(hook).toReversed()) {
      try {
        if (hook === 'postSend') await middleware.postSend?.(message)
        else if (hook === 'postSave') await middleware.postSave?.(message, detail as TaskResult)
        else await middleware.sendFailed?.(message, detail)
      } catch (error) {
        const { taskId, taskName } = message
        logger.error(
          { err: error, taskId, taskName, hook },
          `Hook ${hook} of ${nameOf(middleware)} threw; it is ignored, as the message was already handled.`,
        )
      }
    }
  }

  async #transform(hook: 'preSend' | 'preExecute', message: TaskMessage): Promise<TaskMessage> {
    let current = message
    for (const middleware of this.with(hook)) {
      const next = await middleware[hook]?.(current)
      if (typeof next?.taskId !== 'string' || typeof next.taskName !== 'string') {
        throw new ConfigError(
          'KIQ_CONFIG_INVALID',
          `Hook ${hook} of ${nameOf(middleware)} returned ${next === undefined ? 'nothing' : 'something else'} ` +
            'instead of a message. Return the message it was given, or a changed copy.',
        )
      }
      current = next
    }
    return current
  }
}

function nameOf(middleware: Middleware): string {
  return middleware.constructor.name
}

function describe(value: unknown): string {
  return typeof value === 'function' && value.name !== '' ? ` (${value.name})` : ''
}
