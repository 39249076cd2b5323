import { randomUUID } from 'node:crypto'

import { expect } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import type {
  Body,
  Delivery,
  MaybePromise,
  ResultBackend,
  SettleOutcome,
  Transport,
  WireMessage,
} from '../../contract/index.ts'
import { hexOf, textOf } from './bytes.ts'
import type { Subject } from './suite.ts'

/** How to exercise one transport; see {@link describeTransport}. */
export interface TransportSubject extends Subject {
  /** Makes a fresh, unstarted transport on names or files that no other case uses. */
  readonly create: () => MaybePromise<Transport>
  /**
   * A second, unstarted transport on the same storage, as another process would open it. Without it, whatever takes two
   * processes is not tested.
   */
  readonly peer?: ((first: Transport) => MaybePromise<Transport>) | undefined
  /** Ends a started transport as kill -9 of its process would: nothing is handed back, nothing renewed any more. */
  readonly crash?: ((transport: Transport) => Promise<void>) | undefined
  /**
   * Milliseconds of the lease that `create` and `peer` configured. Short, so that cases can wait for its end; above 500,
   * so that a busy machine does not lose it.
   */
  readonly leaseMs?: number | undefined
  /** The result backend that this transport joins, unstarted. Without it, joined results are not tested. */
  readonly results?: ((transport: Transport) => MaybePromise<ResultBackend>) | undefined
  /** Ends the server behind the transport. Together with `startEngine`; the suite then tests loss of the connection. */
  readonly stopEngine?: (() => Promise<void>) | undefined
  readonly startEngine?: (() => Promise<void>) | undefined
  /**
   * For engines that lose what is sent to a queue before the first `receive` from it: the cases then begin with one.
   *
   * @defaultValue `'keep'`
   */
  readonly beforeFirstReceive?: 'keep' | 'lose' | undefined
  /**
   * Milliseconds after which a message that has not come is taken not to come.
   *
   * @defaultValue `200`
   */
  readonly quietMs?: number | undefined
}

/** A started transport, and what it reported. */
export interface Opened {
  readonly transport: Transport
  readonly workerId: string
  /** Arguments of `onCancel`. */
  readonly cancelled: string[]
  /** Arguments of `onLeaseLost`. */
  readonly lost: Delivery[]
}

/** Milliseconds in which whatever should happen does happen, if it ever does. */
export const PATIENCE_MS = 10_000

const PRIME_MS = 300

/** One case's transports, queues and shorthands. */
export class TransportRig {
  readonly subject: TransportSubject
  /** Started as worker. */
  readonly main: Opened
  readonly queue: string = `conformance-${randomUUID()}`
  readonly otherQueue: string = `conformance-${randomUUID()}`
  readonly #toStop = new Set<Transport>()
  readonly #backends: ResultBackend[] = []

  private constructor(subject: TransportSubject, transport: Transport) {
    this.subject = subject
    this.main = { transport, workerId: randomUUID(), cancelled: [], lost: [] }
  }

  static async open(subject: TransportSubject): Promise<TransportRig> {
    const rig = new TransportRig(subject, await subject.create())
    await rig.start(rig.main)
    return rig
  }

  async close(): Promise<void> {
    for (const transport of this.#toStop) await transport.stop()
    for (const backend of this.#backends) await backend.stop()
  }

  /** Starts a transport and stops it at the end of the case. */
  async start({ transport, workerId, cancelled, lost }: Opened, role: 'client' | 'worker' = 'worker'): Promise<void> {
    this.#toStop.add(transport)
    await transport.start({
      role,
      workerId,
      logger: silentLogger,
      defaultQueue: this.queue,
      onCancel: (taskId) => cancelled.push(taskId),
      onLeaseLost: (deliveries) => lost.push(...deliveries),
    })
    if (role === 'worker' && this.subject.beforeFirstReceive === 'lose') {
      const signal = AbortSignal.timeout(PRIME_MS)
      await transport.receive({ queues: [this.queue, this.otherQueue], max: 1, signal })
    }
  }

  /** A transport of the subject that is not started, and not stopped at the end. */
  async unstarted(transport: MaybePromise<Transport> = this.subject.create()): Promise<Opened> {
    return { transport: await transport, workerId: randomUUID(), cancelled: [], lost: [] }
  }

  /** What another process on the same storage would open. */
  async peer(role: 'client' | 'worker' = 'worker'): Promise<Opened> {
    const { peer } = this.subject
    if (peer === undefined) return expect.fail('this case needs `peer` and must not be registered without it')
    const opened = await this.unstarted(peer(this.main.transport))
    await this.start(opened, role)
    return opened
  }

  async crash(opened: Opened): Promise<void> {
    this.#toStop.delete(opened.transport)
    await this.subject.crash?.(opened.transport)
  }

  async results(): Promise<ResultBackend> {
    const { results } = this.subject
    if (results === undefined) return expect.fail('this case needs `results` and must not be registered without it')
    const backend = await results(this.main.transport)
    this.#backends.push(backend)
    await backend.start({ logger: silentLogger })
    return backend
  }

  message(body: Body, more: Partial<WireMessage> = {}): WireMessage {
    return { taskId: randomUUID(), taskName: 'conformance:task', queue: this.queue, body, labels: {}, ...more }
  }

  /** Sends one message per body, in one call, and returns them. */
  async send(...bodies: readonly Body[]): Promise<WireMessage[]> {
    const messages = bodies.map((body) => this.message(body))
    await this.main.transport.send(messages)
    return messages
  }

  /** Receives exactly so many deliveries, or fails after `withinMs`. */
  async take(count: number, options: TakeOptions = {}): Promise<Delivery[]> {
    const { from = this.main, queues = [this.queue], withinMs = PATIENCE_MS } = options
    const signal = AbortSignal.timeout(Math.ceil(withinMs))
    const taken: Delivery[] = []
    while (taken.length < count && !signal.aborted) {
      taken.push(...(await from.transport.receive({ queues, max: count - taken.length, signal })))
    }
    if (taken.length === count) return taken
    return expect.fail(`${count} deliveries within ${withinMs} ms, but only these came: ${textsOf(taken).join(' | ')}`)
  }

  /** Receives exactly one delivery. */
  async takeOne(options: TakeOptions = {}): Promise<Delivery> {
    const [delivery] = await this.take(1, options)
    return delivery ?? expect.fail('take(1) gave none')
  }

  /** Expects that nothing comes for a while. */
  async expectQuiet({ from = this.main, queues = [this.queue], withinMs }: TakeOptions = {}): Promise<void> {
    const signal = AbortSignal.timeout(Math.ceil(withinMs ?? this.subject.quietMs ?? 200))
    expect(textsOf(await from.transport.receive({ queues, max: 1, signal })), 'nothing should come').toEqual([])
  }

  async ack(deliveries: readonly Delivery[], from: Opened = this.main): Promise<readonly SettleOutcome[]> {
    return await from.transport.settle(deliveries.map((delivery) => ({ kind: 'ack', delivery })))
  }
}

export interface TakeOptions {
  readonly from?: Opened | undefined
  readonly queues?: readonly string[] | undefined
  readonly withinMs?: number | undefined
}

export function textsOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map((delivery) => shorten(textOf(delivery.body)))
}

/** Body and attempt, as most expectations want them. */
export function factsOf(delivery: Delivery): readonly [body: string, attempt: number] {
  return [textOf(delivery.body), delivery.attempt]
}

/** Compares bodies byte for byte without printing megabytes. */
export function expectSameBytes(actual: Body, expected: Body): void {
  const [got, wanted] = [hexOf(actual), hexOf(expected)]
  if (got !== wanted) expect(shorten(got), `${got.length / 2} bytes, ${wanted.length / 2} wanted`).toBe(shorten(wanted))
  expect(got === wanted).toBe(true)
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
