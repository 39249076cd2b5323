import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expectTypeOf, it } from 'vitest'
import * as z from 'zod'

import {
  context,
  gather,
  InMemoryBroker,
  sharedBroker,
  SimpleRetryMiddleware,
  SmartRetryMiddleware,
} from '../../src/index.ts'
import type {
  Broker,
  Failure,
  Kicker,
  Middleware,
  RecordTask,
  Sendable,
  SentTask,
  State,
  Task,
  TaskContext,
  TaskFailure,
  TaskResult,
  TaskSuccess,
} from '../../src/index.ts'

const broker = new InMemoryBroker()

describe('a positional task', () => {
  const add = broker.task('add', (a: number, b: number) => a + b)
  const greet = broker.task('greet', async (name: string, greeting = 'Hello') => `${greeting}, ${name}`)
  const all = broker.task('all', (...names: string[]) => names.length)

  it('has the parameters and the result of its function', () => {
    expectTypeOf(add).toEqualTypeOf<Task<[a: number, b: number], number>>()
    expectTypeOf(add.kiq).parameters.toEqualTypeOf<[a: number, b: number]>()
    expectTypeOf(add.kiq).returns.resolves.toEqualTypeOf<SentTask<number>>()
    expectTypeOf(greet.kiq).toBeCallableWith('Bob')
    expectTypeOf(greet.kiq).toBeCallableWith('Bob', 'Hi')
    expectTypeOf(all.kiq).parameters.toEqualTypeOf<string[]>()
  })

  it('is still the function', () => {
    expectTypeOf(add).toBeCallableWith(1, 2)
    expectTypeOf(add(1, 2)).toEqualTypeOf<number>()
    expectTypeOf(greet('Bob')).toEqualTypeOf<Promise<string>>()
  })

  it('awaits the result of an async function', () => {
    expectTypeOf(greet.kiq).returns.resolves.toEqualTypeOf<SentTask<string>>()
  })

  it('has results that are values or envelopes', async () => {
    const sent = await add.kiq(1, 2)

    expectTypeOf(sent.taskId).toEqualTypeOf<string>()
    expectTypeOf(sent.result).returns.resolves.toEqualTypeOf<number>()
    expectTypeOf(sent.waitResult).returns.resolves.toEqualTypeOf<TaskResult<number>>()
    expectTypeOf(sent.isReady).returns.resolves.toEqualTypeOf<boolean>()
    expectTypeOf(sent.cancel).returns.resolves.toEqualTypeOf<boolean>()
  })

  it('takes many calls as tuples', async () => {
    expectTypeOf(add.kiqMany).parameter(0).toEqualTypeOf<readonly [a: number, b: number][]>()
    expectTypeOf(add.kiqMany).returns.resolves.toEqualTypeOf<SentTask<number>[]>()
    await add.kiqMany([
      [1, 2],
      [3, 4],
    ])
    await greet.kiqMany([['Bob'], ['Ada', 'Hi']])
  })

  it('refuses wrong calls', () => {
    // @ts-expect-error: an argument is missing
    void add.kiq(1)
    // @ts-expect-error: one argument too many
    void add.kiq(1, 2, 3)
    // @ts-expect-error: text is not a number
    void add.kiq(1, '2')
    // @ts-expect-error: the second entry is no tuple of two
    void add.kiqMany([[1, 2], [3]])
    // @ts-expect-error: not a list of tuples
    void add.kiqMany([1, 2])
    // @ts-expect-error: the kicker takes what the task takes
    void add.kicker().kiq('1', '2')
    // @ts-expect-error: the function takes numbers
    add('1', '2')
  })

  it('has a kicker that keeps its types', () => {
    const kicker = add.kicker().withLabels({ a: 1 }).withTaskId('x').withDelay('5s').withPriority(1).withQueue('q')

    expectTypeOf(kicker).toEqualTypeOf<Kicker<[a: number, b: number], number>>()
    expectTypeOf(kicker.kiq).returns.resolves.toEqualTypeOf<SentTask<number>>()
    expectTypeOf(kicker.withBroker(new InMemoryBroker())).toEqualTypeOf<Kicker<[a: number, b: number], number>>()
  })

  it('takes options, and refuses unknown ones', () => {
    broker.task('ok', () => 1, { timeout: '5s', queue: 'q', ackType: 'manual', isolate: 'thread', labels: { a: 1 } })
    // @ts-expect-error: there is no such ack type
    broker.task('x', () => 1, { ackType: 'later' })
    // @ts-expect-error: there is no such isolation
    broker.task('x', () => 1, { isolate: 'container' })
    // @ts-expect-error: there is no such option
    broker.task('x', () => 1, { retries: 5 })
    // @ts-expect-error: a task needs a function
    broker.task('x')
  })
})

describe('a record task', () => {
  const resize = broker.task({
    name: 'resize',
    run: async (input: { path: string; width?: number }) => input.path.length,
  })
  const ping = broker.task({ name: 'ping', run: () => 'pong' as const })

  it('takes its record', () => {
    expectTypeOf(resize).toEqualTypeOf<RecordTask<[input: { path: string; width?: number }], Promise<number>>>()
    expectTypeOf(resize.kiq).parameters.toEqualTypeOf<[input: { path: string; width?: number }]>()
    expectTypeOf(resize.kiq).returns.resolves.toEqualTypeOf<SentTask<number>>()
    expectTypeOf(resize.run({ path: 'x' })).toEqualTypeOf<Promise<number>>()
    expectTypeOf(resize({ path: 'x' })).toEqualTypeOf<Promise<number>>()
  })

  it('may take nothing', () => {
    expectTypeOf(ping.kiq).parameters.toEqualTypeOf<[]>()
    expectTypeOf(ping.kiq).returns.resolves.toEqualTypeOf<SentTask<'pong'>>()
  })

  it('refuses wrong calls', () => {
    // @ts-expect-error: the record is missing
    void resize.kiq()
    // @ts-expect-error: a field is missing
    void resize.kiq({ width: 5 })
    // @ts-expect-error: there is no such field
    void resize.kiq({ path: 'x', height: 5 })
    // @ts-expect-error: ping takes nothing
    void ping.kiq({})
    // @ts-expect-error: a record task needs a name
    broker.task({ run: () => 1 })
  })
})

describe('a record task with a schema', () => {
  it('is called with the input of a zod schema, and runs with its output', () => {
    const input = z.object({ count: z.string().transform(Number), unit: z.string().default('kg') })
    const weigh = broker.task({
      name: 'zod',
      input,
      run: (record) => {
        expectTypeOf(record).toEqualTypeOf<{ count: number; unit: string }>()
        return record.count
      },
    })

    expectTypeOf(weigh.kiq).parameter(0).toEqualTypeOf<{ count: string; unit?: string | undefined }>()
    expectTypeOf(weigh.kiq).returns.resolves.toEqualTypeOf<SentTask<number>>()
    // @ts-expect-error: that is the output
    void weigh.kiq({ count: 5 })
  })

  it('is called with the input of a valibot schema, and runs with its output', () => {
    const input = v.object({ count: v.pipe(v.string(), v.transform(Number)), unit: v.optional(v.string(), 'kg') })
    const weigh = broker.task({
      name: 'valibot',
      input,
      run: (record) => {
        expectTypeOf(record).toEqualTypeOf<{ count: number; unit: string }>()
        return record.unit
      },
    })

    expectTypeOf(weigh.kiq).parameter(0).toEqualTypeOf<{ count: string; unit?: string | undefined }>()
    expectTypeOf(weigh.kiq).returns.resolves.toEqualTypeOf<SentTask<string>>()
    // @ts-expect-error: that is the output
    void weigh.kiq({ count: 5 })
  })

  it('is called with the input of an arktype schema, and runs with its output', () => {
    const input = type({ count: 'string.numeric.parse', unit: "string = 'kg'" })
    const weigh = broker.task({
      name: 'arktype',
      input,
      run: (record) => {
        expectTypeOf(record).toEqualTypeOf<{ count: number; unit: string }>()
        return record
      },
    })

    expectTypeOf(weigh.kiq).parameter(0).toEqualTypeOf<{ count: string; unit?: string }>()
    expectTypeOf(weigh.kiq).returns.resolves.toEqualTypeOf<SentTask<{ count: number; unit: string }>>()
    // @ts-expect-error: that is the output
    void weigh.kiq({ count: 5 })
  })

  it('refuses a function that does not fit the schema', () => {
    const input = z.object({ n: z.number() })

    // @ts-expect-error: n is a number
    broker.task({ name: 'wrong', input, run: ({ n }: { n: string }) => n })
  })
})

describe('an external task', () => {
  const add = broker.externalTask<[a: number, b: number], number>('elsewhere.add')

  it('has types and no body', () => {
    expectTypeOf(add).toEqualTypeOf<Sendable<[a: number, b: number], number>>()
    expectTypeOf(add.kiq).returns.resolves.toEqualTypeOf<SentTask<number>>()
    // @ts-expect-error: there is nothing to call
    void (() => add(1, 2))
    // @ts-expect-error: text is not a number
    void add.kiq('1', '2')
  })

  it('takes anything when it is not told its types', () => {
    const anything = broker.externalTask('elsewhere.anything')

    expectTypeOf(anything.kiq).toBeCallableWith(1, 'x', { a: 1 })
    expectTypeOf(anything.kiq).returns.resolves.toEqualTypeOf<SentTask>()
  })
})

describe('a shared task', () => {
  it('is typed as one of a broker', () => {
    const add = sharedBroker.task('types.shared', async (a: number) => String(a))
    const record = sharedBroker.task({ name: 'types.shared.record', run: (input: { a: number }) => input.a })

    expectTypeOf(add).toEqualTypeOf<Task<[a: number], Promise<string>>>()
    expectTypeOf(record).toEqualTypeOf<RecordTask<[input: { a: number }], number>>()
  })
})

describe('a result', () => {
  it('is told apart by isErr', () => {
    const result = {} as TaskResult<number>

    if (result.isErr) {
      expectTypeOf(result).toEqualTypeOf<TaskFailure>()
      expectTypeOf(result.error).toEqualTypeOf<Failure>()
      // @ts-expect-error: a failure has no value
      void result.returnValue
    } else {
      expectTypeOf(result).toEqualTypeOf<TaskSuccess<number>>()
      expectTypeOf(result.returnValue).toEqualTypeOf<number>()
      // @ts-expect-error: a success has no error
      void result.error
    }
  })
})

describe('gather', () => {
  it('gives a tuple for a tuple', async () => {
    const number = {} as SentTask<number>
    const text = {} as SentTask<string>

    const results = await gather([number, text, number])

    expectTypeOf(results).toEqualTypeOf<[TaskResult<number>, TaskResult<string>, TaskResult<number>]>()
  })

  it('gives a list for a list', async () => {
    const sent = [] as SentTask<number>[]

    expectTypeOf(await gather(sent)).toEqualTypeOf<TaskResult<number>[]>()
  })
})

describe('context', () => {
  it('gives what a task can ask and do', () => {
    expectTypeOf(context).returns.toEqualTypeOf<TaskContext>()
    expectTypeOf<TaskContext['state']>().toEqualTypeOf<State>()
    expectTypeOf<TaskContext['signal']>().toEqualTypeOf<AbortSignal>()
    expectTypeOf<TaskContext['retry']>().returns.toBeNever()
    expectTypeOf<TaskContext['noResult']>().returns.toBeNever()
  })

  it('does not become part of the result of a task that ends by it', () => {
    const task = broker.task('retrying', (n: number) => (n < 0 ? context().reject('negative') : n))

    expectTypeOf(task.kiq).returns.resolves.toEqualTypeOf<SentTask<number>>()
  })
})

describe('middlewares', () => {
  it('may have any hooks, sync or async', () => {
    const middleware: Middleware = {
      preSend: async (message) => ({ ...message, labels: { ...message.labels, a: 1 } }),
      preExecute: (message) => message,
      onError: (_message, _result, error, control) => {
        expectTypeOf(error).toBeUnknown()
        expectTypeOf(control.attempt).toEqualTypeOf<number>()
        control.retry({ delayMs: 5 })
      },
    }

    expectTypeOf(broker.withMiddlewares(middleware, new SimpleRetryMiddleware())).toEqualTypeOf<InMemoryBroker>()
  })

  it('refuse hooks that give no message', () => {
    // @ts-expect-error: preSend gives the message back
    broker.withMiddlewares({ preSend: () => {} })
    // @ts-expect-error: a class is not an instance
    broker.withMiddlewares(SimpleRetryMiddleware)
  })

  it('take classes and names of errors', () => {
    class Special extends Error {
      readonly detail: number
      constructor(detail: number) {
        super('special')
        this.detail = detail
      }
    }

    new SimpleRetryMiddleware({ retryOn: [Special, RangeError, 'TimeoutError'] })
    new SmartRetryMiddleware({ retryOn: (error) => error instanceof Special, useJitter: '5s', defaultDelay: 5 })
    // @ts-expect-error: a class is no list
    new SimpleRetryMiddleware({ retryOn: RangeError })
  })
})

describe('a broker', () => {
  it('returns itself from its configuration', () => {
    expectTypeOf(broker.on('workerStartup', (state) => void (state['x'] = 1))).toEqualTypeOf<InMemoryBroker>()
    expectTypeOf(broker.withIdGenerator(() => 'x')).toEqualTypeOf<InMemoryBroker>()
    expectTypeOf<InMemoryBroker>().toExtend<Broker>()
    // @ts-expect-error: there is no such event
    broker.on('startup', () => {})
  })

  it('makes a handle of an id', () => {
    expectTypeOf(broker.sentTask<number>('id')).toEqualTypeOf<SentTask<number>>()
    expectTypeOf(broker.sentTask('id')).toEqualTypeOf<SentTask>()
  })
})
