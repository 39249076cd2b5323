import { setTimeout as delay } from 'node:timers/promises'

import type {
  Body,
  Delivery,
  ReceiveOptions,
  SettleOutcome,
  Settlement,
  Transport,
  TransportCapabilities,
  TransportStart,
  WireMessage,
} from '../../src/contract/index.ts'

export interface FakeTransportOptions {
  readonly capabilities?: Partial<TransportCapabilities> | undefined
  /** What is sent, replaced and requeued is delivered again. */
  readonly loop?: boolean | undefined
  /** Where calls are noted: `send id`, `ack id`, `replace id`, … */
  readonly events?: string[] | undefined
}

interface Call {
  /** Runs instead of the call, once: throws, or waits. */
  readonly instead: () => unknown
}

/**
 * A transport in the hands of a test: keeps what it is given, delivers what it is told, fails when it is told. Can do
 * everything and joins nothing unless told otherwise.
 */
export class FakeTransport implements Transport {
  readonly name: string = 'fake'
  readonly capabilities: TransportCapabilities
  readonly starts: TransportStart[] = []
  stops = 0
  readonly sent: WireMessage[] = []
  readonly sendCalls: number[] = []
  readonly settlements: Settlement[] = []
  readonly receives: ReceiveOptions[] = []
  /** Deliveries that wait; taken by `receive` from the front. */
  readonly waiting: Delivery[] = []
  /** Consumed one per call of that method, in order. */
  readonly next: { readonly start: Call[]; readonly send: Call[]; readonly receive: Call[]; readonly settle: Call[] } =
    {
      start: [],
      send: [],
      receive: [],
      settle: [],
    }
  /** Decides the outcome of each settlement. */
  outcome: (settlement: Settlement) => SettleOutcome = () => 'settled'

  readonly #loop: boolean
  readonly #events: string[]
  #wake = (): void => {}

  constructor(options: FakeTransportOptions = {}) {
    this.#loop = options.loop ?? false
    this.#events = options.events ?? []
    this.capabilities = {
      persists: true,
      redelivers: true,
      delays: true,
      priorities: true,
      deduplicates: true,
      broadcasts: false,
      replacesAtomically: true,
      deadLetters: false,
      cancels: false,
      inspects: false,
      ...options.capabilities,
    }
  }

  /** The next `times` calls of that method reject with this error. */
  fail(method: keyof FakeTransport['next'], error: unknown, times = 1): void {
    const instead = (): never => {
      throw error
    }
    for (let i = 0; i < times; i += 1) this.next[method].push({ instead })
  }

  /** Puts a message before the worker. */
  deliver(body: Body | object, change: Partial<Delivery> = {}): Delivery {
    const bytes = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
    const delivery: Delivery = { body: bytes, queue: 'taskiq', attempt: 1, ...change }
    this.waiting.push(delivery)
    this.#wake()
    return delivery
  }

  /** Kinds and ids of the settlements so far, for example `ack a`. */
  get settled(): readonly string[] {
    return this.settlements.map(describeSettlement)
  }

  async start(options: TransportStart): Promise<void> {
    this.starts.push(options)
    await this.next.start.shift()?.instead()
  }

  async stop(): Promise<void> {
    this.stops += 1
  }

  async send(messages: readonly WireMessage[]): Promise<void> {
    this.sendCalls.push(messages.length)
    await this.next.send.shift()?.instead()
    for (const message of messages) this.#accept(message)
  }

  async receive(options: ReceiveOptions): Promise<readonly Delivery[]> {
    this.receives.push(options)
    await this.next.receive.shift()?.instead()
    const aborted = new Promise<void>((resolve) => {
      if (options.signal.aborted) resolve()
      options.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    while (this.waiting.length === 0) {
      if (options.signal.aborted) return []
      await Promise.race([aborted, new Promise<void>((resolve) => (this.#wake = resolve))])
    }
    return this.waiting.splice(0, options.max)
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly SettleOutcome[]> {
    await this.next.settle.shift()?.instead()
    // As every engine: the answer comes in a later turn.
    await delay(0)
    return settlements.map((settlement) => this.#settle(settlement))
  }

  #accept(message: WireMessage): void {
    this.#events.push(`send ${message.taskId}`)
    this.sent.push(message)
    if (this.#loop) this.deliver(message.body, { queue: message.queue, taskId: message.taskId })
  }

  #settle(settlement: Settlement): SettleOutcome {
    this.#events.push(describeSettlement(settlement))
    this.settlements.push(settlement)
    const outcome = this.outcome(settlement)
    if (outcome === 'settled' && this.#loop) {
      const { delivery } = settlement
      if (settlement.kind === 'replace') this.#accept(settlement.message)
      if (settlement.kind === 'requeue') this.deliver(delivery.body, { ...delivery, attempt: delivery.attempt + 1 })
    }
    return outcome
  }
}

function describeSettlement({ kind, delivery: { body, taskId } }: Settlement): string {
  const id = taskId ?? /"task_id":\s*"([^"]*)"/.exec(typeof body === 'string' ? body : '')?.[1]
  return id === undefined ? kind : `${kind} ${id}`
}
