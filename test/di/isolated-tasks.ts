/** Loaded by the tests, and by every thread and process that runs one of these tasks. */
import { threadId } from 'node:worker_threads'

import type { Labels } from 'kiq'
import { Broker, retryTask, silentLogger } from 'kiq'
import type { Container, Token } from 'kiq/di'
import {
  bind,
  createContainer,
  inject,
  setupInjection,
  TaskInfo,
  taskMiddleware,
  TaskProgress,
  TaskSignal,
  token,
} from 'kiq/di'
import { MemoryResultBackend, MemoryTransport } from 'kiq/memory'

const results = new MemoryResultBackend()

export const broker: Broker = new Broker(new MemoryTransport({ results }), {
  resultBackend: results,
  logger: silentLogger,
})

export interface Connection {
  readonly place: string
  /** How many were made there. */
  readonly count: number
}

interface Session {
  readonly connection: Connection
  readonly n: number
}

export const here: string = `${process.pid}/${threadId}`

let connections = 0
let sessions = 0

export const Connection: Token<Connection> = token<Connection>('Connection')
const Session = token<Session>('Session')
const Tx = token<string>('Tx')
const Broken = token<string>('Broken')
const Outer = token<string>('Outer')

export const container: Container = createContainer({
  logger: silentLogger,
  providers: [
    bind(Connection, {
      create: async () => {
        connections += 1
        return { place: here, count: connections }
      },
    }),
    bind(Session, {
      scope: 'scoped',
      deps: { connection: Connection },
      create: ({ connection }) => ({ connection, n: (sessions += 1) }),
    }),
    bind(Tx, {
      scope: 'scoped',
      deps: { progress: TaskProgress, info: TaskInfo },
      use: async function* ({ progress, info }) {
        try {
          yield here
        } catch (error) {
          const { name, message, code } = error as Error & { readonly code?: string }
          await progress.set('ROLLED BACK', { name, message, code: code ?? null })
          throw error
        }
        if (info.labels['commit'] === 'refused') throw new RangeError('commit refused')
        await progress.set('COMMITTED')
      },
    }),
    bind(Broken, { scope: 'scoped', create: () => Promise.reject(new TypeError('no connection')) }),
    bind(Outer, { scope: 'scoped', deps: { broken: Broken }, create: ({ broken }) => broken }),
  ],
})

const hooks: string[] = []

setupInjection(broker, container, {
  middlewares: [
    taskMiddleware({
      before: ({ taskName }) => {
        hooks.push(`before ${taskName}`)
        return here
      },
      after: ({ taskName }, _result, place) => void hooks.push(`after ${taskName} ${String(place === here)}`),
      onError: ({ taskName }, error) => void hooks.push(`error ${taskName} ${(error as Error).message}`),
    }),
  ],
})

/** The same tasks for each kind of isolation. */
function declare(isolate: 'thread' | 'process') {
  const options = { isolate, module: import.meta.url } as const
  const session = broker.task({
    ...options,
    name: `${isolate}.session`,
    deps: { session: Session, info: TaskInfo },
    run: async ({ n }: { n: number }, deps) => {
      await new Promise(setImmediate)
      const isSame = inject(Session) === deps.session && inject(TaskInfo).taskId === deps.info.taskId
      return { n, session: deps.session, attempt: deps.info.attempt, isSame }
    },
  })
  const end = broker.task({
    ...options,
    name: `${isolate}.end`,
    deps: { tx: Tx, info: TaskInfo },
    run: ({ how }: { how: 'well' | 'badly' | 'again' }, { tx, info }) => {
      if (how === 'badly') throw Object.assign(new RangeError('own'), { code: 'E_OWN' })
      if (how === 'again' && info.attempt === 1) throw retryTask()
      return [tx, info.attempt] as const
    },
  })
  const wait = broker.task({
    ...options,
    name: `${isolate}.wait`,
    deps: { tx: Tx, signal: TaskSignal, progress: TaskProgress },
    run: async (_: unknown, { signal, progress }) => {
      await progress.set('WAITING')
      return await new Promise<never>((_resolve, reject) => {
        if (signal.aborted) reject(signal.reason as Error)
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    },
  })
  const broken = broker.task({ ...options, name: `${isolate}.broken`, deps: { outer: Outer }, run: () => 'never' })
  const hooked = broker.task({ ...options, name: `${isolate}.hooked`, run: () => [...hooks] })
  const facts = broker.task({
    ...options,
    name: `${isolate}.facts`,
    deps: { info: TaskInfo },
    run: ({ n }: { n: number }, { info }): Facts => ({
      n,
      taskId: info.taskId,
      taskName: info.taskName,
      kwargs: info.kwargs,
      labels: info.labels,
    }),
  })
  return { session, end, wait, broken, hooked, facts }
}

interface Facts {
  readonly n: number
  readonly taskId: string
  readonly taskName: string
  readonly kwargs: Readonly<Record<string, unknown>>
  readonly labels: Labels
}

export const tasks: Readonly<Record<'thread' | 'process', ReturnType<typeof declare>>> = {
  thread: declare('thread'),
  process: declare('process'),
}
