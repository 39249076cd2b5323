/**
 * Program of a thread or child process that runs isolated tasks: loads the module that declares them, once, and runs one
 * task per `run` message.
 */
import { isMainThread, parentPort } from 'node:worker_threads'

import type { Broker } from '../broker.ts'
import type { Failure, Logger, Progress } from '../../contract/index.ts'
import { ConfigError } from '../../contract/index.ts'
import type { ExecutionContext } from '../context.ts'
import { runInContext } from '../context.ts'
import { toFailure } from '../failure.ts'
import { loadModule } from '../load-module.ts'
import { notSetUp } from '../not-set-up.ts'
import { toPlain } from '../plain.ts'
import { collectBrokers } from '../registry.ts'
import type { TaskDefinition } from '../task-definition.ts'
import { startWatchdog } from '../watchdog.ts'
import { noResult, rejectTask, requeueTask, retryTask, TaskSignal } from '../signals.ts'
import { fromFailure } from './pools.ts'
import type { FromIsolate, IsolateRequest, LogLevel, ToIsolate } from './protocol.ts'

const VALUE = { root: 'return value', code: 'KIQ_RESULT_UNSERIALIZABLE' } as const
const brokers = collectBrokers() as Set<Broker>
const modules = new Map<string, Promise<unknown>>()
const started = new Map<Broker, Promise<void>>()
const calls = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
let nextCall = 1
let abort: AbortController | undefined

const port = parentPort
const post = (message: FromIsolate): void => {
  if (port) port.postMessage(message)
  else process.send?.(message)
}

function receive(message: ToIsolate): void {
  switch (message.type) {
    case 'run':
      void run(message)
      return
    case 'abort':
      abort?.abort(fromFailure(message.reason))
      return
    case 'close':
      void close()
      return
    case 'reply': {
      const call = calls.get(message.call)
      calls.delete(message.call)
      if (message.error) call?.reject(fromFailure(message.error))
      else call?.resolve(message.value)
    }
  }
}

/** Closes what was started here, as far as it can be; the worker kills what takes too long. */
async function close(): Promise<void> {
  for (const broker of started.keys()) {
    try {
      await broker.shutdownIsolate()
    } catch (error) {
      createLog().error({ err: error }, 'The shutdown of an isolate failed.')
    }
  }
  process.exit(0)
}

async function run(order: Extract<ToIsolate, { type: 'run' }>): Promise<void> {
  const controller = new AbortController()
  abort = controller
  try {
    const { definition, broker } = await findTask(order.module, order.message.taskName)
    const current = createContext(order, broker, controller.signal)
    const value = await runHere({ definition, broker, current, args: order.args })
    // Before it is cloned: cloning would lose what the serializer would have kept or refused.
    answer({ type: 'done', value: toPlain(value, VALUE) })
  } catch (error) {
    answer(
      error instanceof TaskSignal
        ? { type: 'signal', steering: error.steering }
        : { type: 'failed', error: toFailure(error) },
    )
  }
}

interface Here {
  readonly definition: TaskDefinition
  readonly broker: Broker
  readonly current: ExecutionContext
  readonly args: readonly unknown[]
}

async function runHere({ definition, broker, current, args }: Here): Promise<unknown> {
  const { injector } = broker.parts
  if (injector === undefined) {
    if (definition.deps !== undefined) throw notSetUp([definition.name])
    const task = definition.run as (...all: readonly unknown[]) => unknown
    return await runInContext(current, () => task(...args))
  }
  // Only what this task needs, once for all its executions here.
  await injector.start([definition])
  const { message } = current
  return await new Promise((resolve, reject) => {
    const invocation = injector.begin({
      task: definition,
      args,
      message,
      context: current,
      startedAt: performance.now(),
      // The worker takes what is returned for the outcome, also after it asked for the end.
      abortedBy: undefined,
      onFunctionEnd: () => {},
      onEnd: (thrown, value) => {
        if (thrown) reject(thrown.error)
        else resolve(value)
      },
    })
    current.invocation = invocation
    runInContext(current, () => invocation.start())
  })
}

/** A value that cannot be cloned to the worker is the task's failure. */
function answer(message: FromIsolate): void {
  try {
    post(message)
  } catch (error) {
    post({ type: 'failed', error: toFailure(error) })
  }
}

async function findTask(module: string, name: string) {
  let loading = modules.get(module)
  if (loading === undefined) {
    loading = loadModule(module)
    modules.set(module, loading)
  }
  await loading
  for (const broker of brokers) {
    const definition = broker.findTask(name)
    if (definition?.run === undefined) continue
    let starting = started.get(broker)
    if (starting === undefined) {
      starting = broker.startupIsolate()
      started.set(broker, starting)
    }
    await starting
    return { broker, definition }
  }
  throw new ConfigError(
    'KIQ_TASK_UNKNOWN',
    `Task "${name}" is not declared by ${module}, where its isolated run looked for it. ` +
      'Declare it with `module: import.meta.url`.',
  )
}

function createContext(
  order: Extract<ToIsolate, { type: 'run' }>,
  broker: Broker,
  signal: AbortSignal,
): ExecutionContext {
  const { message, attempt } = order
  const { taskId, taskName, labels } = message
  let isAcked = false
  return {
    message,
    taskId,
    taskName,
    labels,
    attempt,
    signal,
    state: broker.state,
    log: createLog(),
    progress: {
      set: async (state, meta) => {
        await call({ kind: 'set-progress', progress: { state, meta } })
      },
      get: async () => (await call({ kind: 'get-progress' })) as Progress | undefined,
    },
    invocation: undefined,
    get isAcked() {
      return isAcked
    },
    ack: async () => {
      isAcked = true
      await call({ kind: 'ack' })
    },
    requeue: (options) => {
      throw requeueTask(options)
    },
    retry: (options) => {
      throw retryTask(options)
    },
    reject: (reason) => {
      throw rejectTask(reason)
    },
    noResult: () => {
      throw noResult()
    },
  }
}

function call(request: IsolateRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const id = nextCall++
    calls.set(id, { resolve, reject })
    post({ type: 'call', call: id, request })
  })
}

function createLog(): Logger {
  const at =
    (level: LogLevel) =>
    (fields: object, message: string): void => {
      post({ type: 'log', level, fields: loggable(fields), message })
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Errors as data; anything that cannot be cloned as text. */
function loggable(fields: object): object {
  const entries = Object.entries(fields).map(([key, value]: [string, unknown]): [string, unknown] => {
    if (value instanceof Error) return [key, toFailure(value) satisfies Failure]
    return typeof value === 'function' || typeof value === 'symbol' ? [key, String(value)] : [key, value]
  })
  return Object.fromEntries(entries)
}

if (isMainThread) {
  process.on('message', (message) => receive(message as ToIsolate))
  // The worker is gone: nobody would ever read the outcome.
  process.on('disconnect', () => process.exit(0))
  // A task that blocks this loop would never see that.
  startWatchdog({ parentPid: process.ppid, orphanDeadlineMs: 1_000 })
  // The worker decides when an isolate ends; a signal to the whole process group must not.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  process.on('SIGHUP', () => {})
} else {
  port?.on('message', receive)
}
