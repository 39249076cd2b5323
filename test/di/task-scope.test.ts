import { describe, expect, it } from 'vitest'

import { bind, inject, lazy, setupInjection, TaskInfo, taskMiddleware, token } from '../../src/di/index.ts'
import { SimpleRetryMiddleware } from '../../src/index.ts'
import { inMemory } from '../support/brokers.ts'
import { deferred } from '../support/deferred.ts'
import { quiet, transactions } from './task-kit.ts'

interface Session {
  readonly n: number
}
const Session = token<Session>('Session')

/** Scoped sessions, numbered as they are made. */
function sessions() {
  let made = 0
  return bind(Session, { scope: 'scoped', create: () => ({ n: (made += 1) }) })
}

describe('the scope of a task', () => {
  it('is new in each execution, sent or executed here', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet(sessions()))
    const task = broker.task({ name: 'task', deps: { session: Session }, run: (_: unknown, { session }) => session.n })
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe(1)
    expect(await (await task.kiq()).result()).toBe(2)
    expect(await broker.execute(task)).toBe(3)
  })

  it('is new in each attempt, and the one before is closed by then', async () => {
    const broker = inMemory().withMiddlewares(new SimpleRetryMiddleware())
    const tx = transactions()
    setupInjection(broker, quiet(tx.provider))
    const attempts: (readonly [attempt: number, transaction: number])[] = []
    const task = broker.task({
      name: 'task',
      labels: { retry_on_error: true },
      deps: { tx: tx.key, info: TaskInfo },
      run: (_: unknown, deps) => {
        attempts.push([deps.info.attempt, deps.tx.n])
        if (deps.info.attempt < 3) throw new Error(`attempt ${deps.info.attempt}`)
        return deps.info.labels['_retries']
      },
    })
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe(2)
    expect(attempts).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ])
    expect(tx.log).toEqual(['begin 1', 'rollback 1', 'begin 2', 'rollback 2', 'begin 3', 'commit 3'])
    expect(tx.errors).toMatchObject([{ message: 'attempt 1' }, { message: 'attempt 2' }])
  })

  it('has one value of a scoped key for task, service, middleware, lazy() and inject()', async () => {
    const Service = token<{ readonly session: Session }>('Service')
    const Nested = token<{ readonly service: { readonly session: Session } }>('Nested')
    const seen: Session[] = []
    const broker = inMemory()
    setupInjection(
      broker,
      quiet(
        sessions(),
        bind(Service, { scope: 'transient', deps: { session: Session }, create: ({ session }) => ({ session }) }),
        bind(Nested, { scope: 'scoped', deps: { service: Service }, create: ({ service }) => ({ service }) }),
      ),
      {
        middlewares: [
          taskMiddleware({
            phase: 'inside',
            deps: { session: Session },
            before: (_info, { session }) => void seen.push(session),
            after: (_info, _result, _state, { session }) => void seen.push(session),
          }),
        ],
      },
    )
    const task = broker.task({
      name: 'task',
      deps: { nested: Nested, later: lazy(Session) },
      run: async (_: unknown, { nested, later }) => {
        seen.push(nested.service.session, inject(Session), await later())
      },
    })

    await broker.execute(task)

    expect(seen).toHaveLength(5)
    expect(new Set(seen).size).toBe(1)
    expect(seen[0]?.n).toBe(1)
  })

  it('has a transient for each place that asks', async () => {
    const Ticket = token<{ readonly n: number }>('Ticket')
    const Service = token<{ readonly ticket: { readonly n: number } }>('Service')
    const closed: number[] = []
    let made = 0
    const broker = inMemory()
    setupInjection(
      broker,
      quiet(
        bind(Ticket, {
          scope: 'transient',
          create: async () => ({ n: (made += 1) }),
          dispose: ({ n }) => void closed.push(n),
        }),
        bind(Service, { scope: 'scoped', deps: { ticket: Ticket }, create: ({ ticket }) => ({ ticket }) }),
      ),
    )
    const task = broker.task({
      name: 'task',
      deps: { first: Ticket, second: Ticket, service: Service, later: lazy(Ticket) },
      run: async (_: unknown, { first, second, service, later }) => [
        first.n,
        second.n,
        service.ticket.n,
        (await later()).n,
        (await later()).n,
      ],
    })

    expect(await broker.execute(task)).toEqual([1, 2, 3, 4, 5])
    expect(closed).toEqual([5, 4, 3, 2, 1])
  })

  it('does not reach into a task that is executed inside another', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet(sessions()))
    const inner = broker.task({
      name: 'inner',
      deps: { session: Session },
      run: (_: unknown, { session }) => [session.n, inject(Session).n],
    })
    const outer = broker.task({
      name: 'outer',
      deps: { session: Session },
      run: async (_: unknown, { session }) => {
        const within = await broker.execute(inner)
        return { own: session.n, within, afterwards: inject(Session).n }
      },
    })

    expect(await broker.execute(outer)).toEqual({ own: 1, within: [2, 2], afterwards: 1 })
  })
})

describe('ten thousand tasks at once', () => {
  it('see nothing of each other', async () => {
    const count = 10_000
    const Owner = token<{ readonly taskId: string; readonly n: unknown }>('Owner')
    const broker = inMemory({ maxAsyncTasks: count, maxStoredResults: -1, waitTasksTimeout: '20s' })
    const gate = deferred()
    const owners = new Set<object>()
    const strangers: unknown[] = []
    let arrived = 0
    let closed = 0
    setupInjection(
      broker,
      quiet(
        bind(Owner, {
          scope: 'scoped',
          deps: { info: TaskInfo },
          use: async function* ({ info }) {
            await Promise.resolve()
            const owner = { taskId: info.taskId, n: info.kwargs['n'] }
            yield owner
            closed += 1
          },
        }),
      ),
      {
        middlewares: [
          taskMiddleware({
            before: async ({ taskId }) => {
              await Promise.resolve()
              return taskId
            },
            after: ({ taskId }, _result, state) => {
              if (state !== taskId) strangers.push([state, taskId])
            },
          }),
        ],
      },
    )
    const lookUp = async (): Promise<{ owner: object; taskId: string }> => {
      await new Promise(setImmediate)
      return { owner: inject(Owner), taskId: inject(TaskInfo).taskId }
    }
    const task = broker.task({
      name: 'task',
      deps: { owner: Owner, info: TaskInfo },
      run: async ({ n }: { n: number }, { owner, info }) => {
        arrived += 1
        if (arrived === count) gate.resolve()
        await gate.promise
        const found = await lookUp()
        owners.add(found.owner)
        const isOwn = found.owner === owner && found.taskId === info.taskId && owner.taskId === info.taskId
        if (!isOwn || owner.n !== n || inject(Owner) !== owner) strangers.push([n, owner, info.taskId])
        return n
      },
    })
    await broker.startup()

    const sent = await task.kiqMany(Array.from({ length: count }, (_, n) => [{ n }] as const))
    const values = await Promise.all(sent.map((one) => one.result({ timeout: '20s' })))

    expect(strangers).toEqual([])
    expect(owners.size).toBe(count)
    expect(closed).toBe(count)
    expect(values.every((value, n) => value === n)).toBe(true)
  })
})
