import { describe, expect, it } from 'vitest'

import type { StandardSchema } from '../../src/contract/index.ts'
import { bind, setupInjection, token } from '../../src/di/index.ts'
import type { Broker, KiqError } from '../../src/index.ts'
import { SimpleRetryMiddleware } from '../../src/index.ts'
import { errorOf, fake, inMemory, wire } from '../support/brokers.ts'
import { onFile, quiet, temporaryFile, workers } from './task-kit.ts'

interface Mailer {
  readonly name: string
}
const Mailer = token<Mailer>('Mailer')
const container = () => quiet(bind(Mailer, { value: { name: 'real' } }))

const code = { code: 'KIQ_ARGUMENT_INJECTED' }

/** A task whose arguments the type checker knows nothing of, as those of a message. */
function declare(broker: Broker) {
  const calls: unknown[] = []
  const task = broker.task({
    name: 'task',
    deps: { mailer: Mailer },
    run: (input: Readonly<Record<string, unknown>>, { mailer }) => {
      calls.push(input)
      return mailer.name
    },
  })
  return { task, calls }
}

describe('an argument with the name of an injected value', () => {
  it.each([
    ['kiq()', (task: Sending) => task.kiq({ to: 'Ada', mailer: { name: 'forged' } })],
    ['kiqMany()', (task: Sending) => task.kiqMany([[{ to: 'Ada' }], [{ mailer: 'forged' }]])],
    ['withKwargs()', (task: Sending) => task.kicker().withKwargs({ mailer: 'forged' }).kiq({ to: 'Ada' })],
    ['a value of undefined', (task: Sending) => task.kiq({ mailer: undefined })],
  ])('is refused when it is sent: %s', async (_how, send) => {
    const { broker, transport } = fake()
    setupInjection(broker, container())
    const { task } = declare(broker)
    await broker.startup()

    const error = await send(task).then(
      () => expect.unreachable('It was sent.'),
      (reason: unknown) => reason as KiqError,
    )

    expect(error).toMatchObject({ ...code, name: 'MessageError' })
    expect(error.message).toContain('task:task > mailer')
    expect(transport.sent).toEqual([])
  })

  it('is refused by execute()', async () => {
    const broker = inMemory()
    setupInjection(broker, container())
    const { task, calls } = declare(broker)

    await expect(broker.execute(task, { mailer: { name: 'forged' } })).rejects.toMatchObject(code)
    expect(calls).toEqual([])
  })

  it('is refused when it is sent from where the dependencies are behind a thunk', async () => {
    const broker = inMemory()
    setupInjection(broker, container())
    const task = broker.task({
      name: 'task',
      deps: () => ({ mailer: Mailer }),
      run: (_input: Readonly<Record<string, unknown>>, { mailer }) => mailer.name,
    })
    await broker.startup()

    await expect(task.kiq({ mailer: 1 })).rejects.toMatchObject(code)
    expect(await (await task.kiq({ other: 1 })).result()).toBe('real')
  })

  it.each([
    ['a keyword', { kwargs: { to: 'Ada', mailer: { name: 'forged' } } }],
    ['a field of the one positional record', { args: [{ to: 'Ada', mailer: { name: 'forged' } }] }],
    ['a keyword beside the record', { args: [{ to: 'Ada' }], kwargs: { mailer: null } }],
  ])('is refused when it is received: %s', async (_how, change) => {
    const { broker, transport, work } = fake()
    setupInjection(broker, container())
    const { calls } = declare(broker)
    await work()

    transport.deliver(wire('task', { task_id: 'forged', ...change }))
    const error = errorOf(await broker.waitResult('forged'))

    expect(error).toMatchObject({ name: 'MessageError', ...code })
    expect(error.message).toContain('task:task > mailer')
    expect(calls).toEqual([])
    transport.deliver(wire('task', { task_id: 'honest', kwargs: { to: 'Ada' } }))
    expect(await broker.waitResult('honest')).toMatchObject({ isErr: false, returnValue: 'real' })
    expect(calls).toEqual([{ to: 'Ada' }])
  })

  it('is no failure that is retried', async () => {
    const { broker, transport, work } = fake({ loop: true })
    broker.withMiddlewares(new SimpleRetryMiddleware({ defaultRetryLabel: true }))
    setupInjection(broker, container())
    declare(broker)
    await work()

    transport.deliver(wire('task', { task_id: 'forged', kwargs: { mailer: 1 } }))

    const result = await broker.waitResult('forged')
    expect(errorOf(result)).toMatchObject(code)
    expect(result.labels).toEqual({})
  })

  it('is refused when a program sends it that declares the task in another way', async () => {
    const path = temporaryFile()
    const broker = onFile(path)
    const work = workers(broker)
    setupInjection(broker, container())
    const { calls } = declare(broker)
    await work()
    const producer = onFile(path)
    const task = producer.task({ name: 'task', run: (input: { mailer: string }) => input.mailer })
    await producer.startup()

    const sent = await task.kiq({ mailer: 'forged' })

    expect(errorOf(await sent.waitResult())).toMatchObject(code)
    expect(calls).toEqual([])
  })

  it('is refused before the schema sees it, and also when a hook adds it', async () => {
    const seen: unknown[] = []
    const anything: StandardSchema<Readonly<Record<string, unknown>>> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => {
          seen.push(value)
          return { value: value as Readonly<Record<string, unknown>> }
        },
      },
    }
    const { broker, transport, work } = fake()
    broker.withMiddlewares({
      preExecute: (message) =>
        message.taskId === 'hooked' ? { ...message, kwargs: { ...message.kwargs, mailer: 1 } } : message,
    })
    setupInjection(broker, container())
    broker.task({ name: 'task', input: anything, deps: { mailer: Mailer }, run: (_input, { mailer }) => mailer.name })
    await work()

    transport.deliver(wire('task', { task_id: 'forged', kwargs: { mailer: 1 } }))
    transport.deliver(wire('task', { task_id: 'hooked', kwargs: { to: 'Ada' } }))

    expect(errorOf(await broker.waitResult('forged'))).toMatchObject(code)
    expect(errorOf(await broker.waitResult('hooked'))).toMatchObject(code)
    expect(seen).toEqual([])
  })

  it('may be what a schema makes: injected values have a place of their own', async () => {
    const adding: StandardSchema<{ to: string }, { to: string; mailer: string }> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => ({ value: { ...(value as { to: string }), mailer: 'made by the schema' } }),
      },
    }
    const broker = inMemory()
    setupInjection(broker, container())
    const task = broker.task({
      name: 'task',
      input: adding,
      deps: { mailer: Mailer },
      run: (input, { mailer }) => [input.mailer, mailer.name],
    })

    expect(await broker.execute(task, { to: 'Ada' })).toEqual(['made by the schema', 'real'])
  })
})

describe('keywords', () => {
  it('never reach what is injected, whatever they are called', async () => {
    const { broker, transport, work } = fake()
    setupInjection(broker, container())
    const { calls } = declare(broker)
    await work()

    const kwargs = JSON.parse('{ "__proto__": { "mailer": 1 }, "deps": 1, "Mailer": 2, "constructor": 3 }') as object
    transport.deliver(wire('task', { task_id: 'odd', kwargs }))

    expect(await broker.waitResult('odd')).toMatchObject({ isErr: false, returnValue: 'real' })
    expect(calls).toMatchObject([{ deps: 1, Mailer: 2 }])
  })

  it('of a task without dependencies may be called as they like', async () => {
    const broker = inMemory()
    setupInjection(broker, container())
    const task = broker.task({ name: 'task', run: (input: { mailer: string }) => input.mailer })
    await broker.startup()

    expect(await (await task.kiq({ mailer: 'an argument' })).result()).toBe('an argument')
  })
})

type Sending = ReturnType<typeof declare>['task']
