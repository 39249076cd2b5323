import { AssertionError } from 'node:assert'

import { InMemoryBroker } from '../adapters/memory/memory-broker.ts'
import type { InMemoryBrokerOptions } from '../adapters/memory/memory-broker.ts'
import { silentLogger } from '../contract/index.ts'
import type { Provider } from '../contract/index.ts'
import { durationMs } from '../core/index.ts'
import type { Broker, Sendable } from '../core/index.ts'
import { OwnContainer } from '../di/container.ts'
import { bind, Clock } from '../di/index.ts'
import type { Container, Module, TaskMiddleware } from '../di/index.ts'
import { ContainerInjector } from '../di/injector.ts'
import { hooksOf } from '../di/task-middleware.ts'
import type { Duration } from '../util/duration.ts'
import { FakeClock } from './fake-clock.ts'

export interface TestBrokerOptions extends Omit<InMemoryBrokerOptions, 'clock'> {
  /**
   * The broker of the application: its tasks, middlewares and container are used, and until the shutdown of the test broker
   * its tasks are sent here, by whomever. It need not be started. Its event handlers are not run.
   */
  readonly broker?: Broker | undefined
  /** More tasks, of other brokers. */
  readonly tasks?: readonly Sendable<never, unknown>[] | undefined
  readonly modules?: readonly Module[] | undefined
  readonly providers?: readonly Provider[] | undefined
  /** What stands for something else in this test, whoever bound it. */
  readonly overrides?: readonly Provider[] | undefined
  readonly middlewares?: readonly TaskMiddleware[] | undefined
  /** What the clock shows first; see {@link FakeClock}. */
  readonly startAt?: Date | number | undefined
}

export interface DrainOptions {
  /**
   * What becomes of messages with a delay: they stay, or the clock goes on to the time of each.
   *
   * @defaultValue `'leave'`
   */
  readonly delayed?: 'leave' | 'run' | undefined
  /**
   * Longest real time to wait.
   *
   * @defaultValue `'30s'`
   */
  readonly timeout?: Duration | undefined
}

/** An in-memory broker with a container and a clock that the test sets. Says nothing unless it is given a logger. */
export class TestBroker extends InMemoryBroker {
  readonly container: Container
  declare readonly clock: FakeClock
  readonly #returnTasks: (() => void) | undefined

  /** @internal Use {@link testBroker}. */
  constructor(options: TestBrokerOptions, clock: FakeClock) {
    super({ logger: silentLogger, ...options, clock })
    const { broker, tasks = [] } = options
    if (broker) {
      this.withMiddlewares(...broker.parts.middlewares.all)
      this.adopt(broker.tasks)
    }
    this.adopt(tasks.map(({ definition }) => definition))
    this.container = this.#inject(options)
    this.#returnTasks = broker?.lendTo(this)
  }

  #inject({ broker, modules = [], providers = [], overrides = [], middlewares = [] }: TestBrokerOptions): Container {
    const applied = broker?.parts.injector
    const injector =
      applied instanceof ContainerInjector
        ? applied
        : new ContainerInjector({
            broker: this,
            container: new OwnContainer({}),
            middlewares: [],
            closesContainer: true,
          })
    const own = injector.forTest({
      broker: this,
      modules,
      providers,
      overrides: [bind(Clock, { value: this.clock }), ...overrides],
      middlewares: middlewares.map(hooksOf),
    })
    this.withInjector(own)
    return own.container
  }

  override async shutdown(): Promise<void> {
    this.#returnTasks?.()
    await super.shutdown()
    // Also where it was never started.
    await this.container.close()
  }

  /**
   * Waits until nothing is queued or running, also what tasks send meanwhile.
   *
   * @throws {AssertionError} when that is not so in time.
   */
  async drain({ delayed = 'leave', timeout = '30s' }: DrainOptions = {}): Promise<void> {
    const deadline = performance.now() + durationMs('timeout', timeout)
    for (;;) {
      const isDone = await this.waitAll({ timeout: Math.max(0, Math.ceil(deadline - performance.now())) })
      const depths = await this.transport.inspect?.()
      if (!isDone) throw notDrained(timeout, depths)
      if (delayed === 'leave' || depths?.every((depth) => depth.delayed === 0)) return
      if (performance.now() >= deadline) throw notDrained(timeout, depths)
      await this.clock.advance(Math.max(0, (this.clock.nextAt ?? this.clock.now()) - this.clock.now()))
    }
  }
}

/** Makes and starts a broker for a test; close it with `shutdown()`, or by `await using`. */
export async function testBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const broker = new TestBroker(options, new FakeClock(options.startAt))
  try {
    await broker.startup()
    return broker
  } catch (error) {
    await broker.shutdown()
    throw error
  }
}

function notDrained(timeout: Duration, depths: unknown): AssertionError {
  return new AssertionError({
    message: `There are still messages after ${timeout} of drain(): ${JSON.stringify(depths)}. Does a task wait for something, or send itself again?`,
  })
}
