import { describe, expect, it, onTestFinished } from 'vitest'

import { InMemoryBroker } from '../adapters/memory/memory-broker.ts'
import { ConfigError, KiqError } from '../contract/index.ts'
import { sharedBroker } from '../core/index.ts'
import {
  bind,
  Clock,
  createContainer,
  Enqueuer,
  InjectionError,
  module,
  setupInjection,
  TaskInfo,
  taskMiddleware,
  token,
} from '../di/index.ts'
import { SimpleRetryMiddleware } from '../middleware/index.ts'
import { fake } from './fake.ts'
import type { TestBroker, TestBrokerOptions } from './test-broker.ts'
import { testBroker } from './test-broker.ts'

interface Mailer {
  send(to: string): Promise<void>
}
const Mailer = token<Mailer>('Mailer')
const Pool = token<{ readonly id: number }>('Pool')

async function opened(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const broker = await testBroker(options)
  onTestFinished(() => broker.shutdown())
  return broker
}

describe('testBroker', () => {
  it('runs the tasks that are declared on it with what its modules bind', async () => {
    const sent: string[] = []
    const mail = module('mail', [bind(Mailer, { value: fake(Mailer, { send: async (to) => void sent.push(to) }) })])
    const test = await opened({ modules: [mail] })
    const welcome = test.task({
      name: 'welcome',
      deps: { mail: Mailer },
      run: async ({ to }: { to: string }, deps) => await deps.mail.send(to),
    })

    await welcome.kiq({ to: 'a@b' })
    await test.drain()

    expect(sent).toEqual(['a@b'])
    expect(await test.container.get(Mailer)).toBeDefined()
  })

  it('lets overrides win over modules, and checks them', async () => {
    const real = module('mail', [bind(Mailer, { value: fake(Mailer) })])
    const double = fake(Mailer)
    const test = await opened({ modules: [real], overrides: [bind(Mailer, { value: double })] })

    expect(await test.container.get(Mailer)).toBe(double)
    await expect(
      testBroker({ overrides: [bind(Mailer, { deps: { pool: Pool }, create: () => fake(Mailer) })] }),
    ).rejects.toThrow(InjectionError)
  })

  describe('of an application', () => {
    function application() {
      let pools = 0
      const log: string[] = []
      const broker = new InMemoryBroker().withMiddlewares(new SimpleRetryMiddleware({ defaultRetryCount: 3 }))
      const welcome = broker.task({
        name: 'welcome',
        deps: { mail: Mailer, pool: Pool, info: TaskInfo },
        labels: { retry_on_error: true },
        run: async ({ to }: { to: string }, { mail, pool, info }) => {
          await mail.send(to)
          return { pool: pool.id, attempt: info.attempt }
        },
      })
      const signUp = broker.task('signUp', async (to: string) => void (await welcome.kiq({ to })))
      const container = createContainer({
        providers: [
          bind(Pool, { create: () => ({ id: (pools += 1) }), dispose: ({ id }) => void log.push(`closed ${id}`) }),
          bind(Mailer, { create: () => Promise.reject(new Error('no mail server here')) }),
        ],
      })
      const counted = taskMiddleware({ before: ({ taskName }) => void log.push(taskName) })
      setupInjection(broker, container, { middlewares: [counted] })
      return { broker, welcome, signUp, container, log }
    }

    it('runs its tasks, middlewares and container, whoever sends them', async () => {
      const { broker, signUp, log } = application()
      const sent: string[] = []
      const mailer = fake(Mailer, { send: async (to) => void sent.push(to) })
      const test = await opened({ broker, overrides: [bind(Mailer, { value: mailer })] })

      await signUp.kiq('a@b')
      await test.drain()

      expect(sent).toEqual(['a@b'])
      expect(log).toEqual(['signUp', 'welcome'])
    })

    it('has singletons of its own, and closes them', async () => {
      const { broker, welcome, container, log } = application()
      const overrides = [bind(Mailer, { value: fake(Mailer, { send: async () => {} }) })]
      const pool = await container.get(Pool)

      const test = await testBroker({ broker, overrides })
      const { pool: id } = await (await welcome.kiq({ to: '' })).result()
      await test.shutdown()

      expect([pool.id, id]).toEqual([1, 2])
      expect(log).toEqual(['welcome', 'closed 2'])
    })

    it('retries as the application does', async () => {
      const { broker, welcome } = application()
      let failures = 2
      const send = async (): Promise<void> => {
        if ((failures -= 1) >= 0) throw new Error('busy')
      }
      await opened({ broker, overrides: [bind(Mailer, { value: fake(Mailer, { send }) })] })

      const sent = await welcome.kiq({ to: '' })

      expect(await sent.result()).toMatchObject({ attempt: 3 })
    })

    it('gives the tasks back when it is closed, and is the only one at a time', async () => {
      const { broker, signUp } = application()
      const overrides = [bind(Mailer, { value: fake(Mailer) })]
      const test = await testBroker({ broker, overrides })

      await expect(testBroker({ broker, overrides })).rejects.toThrow(ConfigError)
      await test.shutdown()

      const error: unknown = await signUp.kiq('a@b').catch((reason: unknown) => reason)
      expect(KiqError.is(error, 'KIQ_BROKER_NOT_STARTED')).toBe(true)
    })
  })

  it('takes shared tasks, and those of other brokers', async () => {
    const other = new InMemoryBroker()
    const add = other.task('test-broker.add', (a: number, b: number) => a + b)
    const twice = sharedBroker.task('test-broker.twice', (n: number) => 2 * n)
    const test = await opened({ tasks: [add] })

    expect(await (await add.kicker().withBroker(test).kiq(1, 2)).result()).toBe(3)
    expect(await (await twice.kicker().withBroker(test).kiq(2)).result()).toBe(4)
    expect(await test.execute(add, [1, 2])).toBe(3)
  })

  it('lets delayed messages wait for its clock', async () => {
    const test = await opened({ startAt: new Date('2031-01-01T00:00:00Z') })
    const ran: string[] = []
    const remind = test.task({
      name: 'remind',
      deps: { clock: Clock },
      run: ({ what }: { what: string }, { clock }) =>
        void ran.push(`${what} at ${new Date(clock.now()).toISOString().slice(11, 16)}`),
    })
    await remind.kicker().withDelay('2h').kiq({ what: 'late' })
    await remind.kicker().withDelay('1h').kiq({ what: 'early' })

    await test.drain()
    expect(ran).toEqual([])
    await test.clock.advance('90m')
    expect(ran).toEqual(['early at 01:00'])
    await test.drain({ delayed: 'run' })
    expect(ran).toEqual(['early at 01:00', 'late at 02:00'])
  })

  it('times tasks out by its clock', async () => {
    const test = await opened()
    const wait = test.task({
      name: 'wait',
      timeout: '1h',
      deps: { info: TaskInfo, enqueuer: Enqueuer },
      run: async () => await new Promise<void>(() => {}),
    })
    const sent = await wait.kiq()

    await test.clock.advance('61m')

    const result = await sent.waitResult({ timeout: '10s' })
    expect(result.isErr && result.error.code).toBe('KIQ_TASK_TIMED_OUT')
  })

  it('says what is left when it cannot be drained', async () => {
    const test = await opened()
    const again = test.task('again', async (): Promise<void> => void (await again.kicker().withDelay('1s').kiq()))
    await again.kiq()

    await expect(test.drain({ delayed: 'run', timeout: '100ms' })).rejects.toThrow(
      /There are still messages after 100ms of drain\(\): .*"taskiq"/,
    )
  })
})
