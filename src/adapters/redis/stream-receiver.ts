import type { Logger, ReceiveOptions } from '../../contract/index.ts'
import type { RedisArgument } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { RedisDelivery } from './delivery.ts'
import type { DeliveryPlace, Source } from './delivery.ts'
import type { RawEntry } from './entries.ts'
import { isTaskiqEntry, parseEntry, parseNumbers, parseStreams, rawEntries } from './entries.ts'
import { isMissingGroup, textOf } from './failure.ts'
import { FairClaim } from './fair-claim.ts'
import type { Claimed } from './fair-claim.ts'
import type { PlacedList } from '../../util/placed-list.ts'
import { Intake } from './intake.ts'
import type { QueueKeys } from './keys.ts'
import { LostEntries } from './lost-entries.ts'
import { CLAIM } from './scripts/receive.ts'
import { PARK_UNKNOWN } from './scripts/sessions.ts'
import { ReadAhead } from './read-ahead.ts'
import type { Sessions } from './sessions.ts'
import type { StreamSettings } from './stream-options.ts'

/** Longest blocking read; without one, a look at everything else comes as often. */
const BLOCK_MS = 5_000
/** Longest time without a look at what does not lie in the queues themselves. */
const CLAIM_EVERY_MS = 1_000
/** Where `CLIENT UNBLOCK` does not reach: an aborted receive ends by itself within a second. */
const CLUSTER_BLOCK_MS = 800
/** From the end of a task until its outcome is on its way. */
const TURNS_OF_OUTCOMES = 3
/** Most entries of a read that may come after its caller has left. */
const SIDE_READ = 10

export interface StreamReceiverParts {
  readonly connection: RedisConnection
  readonly settings: StreamSettings
  readonly keysOf: (queue: string) => QueueKeys
  readonly sessions: Sessions
  readonly logger: Logger
  readonly held: PlacedList<RedisDelivery>
  /** An entry that is no message, to be buried. */
  readonly onForeign: (delivery: RedisDelivery, reason: string) => void
  readonly onQueue: (queue: string) => Promise<void>
  /** Claimed ahead, and not wanted. Never rejects. */
  readonly onUnused: (deliveries: readonly RedisDelivery[]) => Promise<void>
}

/** One blocking read: the queues of one session, or in a cluster one queue. */
interface Lane {
  readonly consumer: string
  readonly queues: readonly string[]
}

/** Takes messages from streams. */
export class StreamReceiver {
  readonly #parts: StreamReceiverParts
  readonly #intakes = new Map<string, Intake>()
  /** Came after their receive had ended. */
  #early: RedisDelivery[] = []
  /** Tokens to take out of `wake`, by queue. */
  readonly #tokens = new Map<string, string[]>()
  readonly #known = new Set<string>()
  readonly #fair: FairClaim<RedisDelivery>
  readonly #ahead: ReadAhead<RedisDelivery>
  /** The last read brought all that was in the queues. */
  #isDrained = false
  #claimedAt = 0
  /** When something delayed is due, as of the last look. */
  #dueAt = 0
  /** Messages may have come whose answer was lost. */
  #isUnsure = false
  #isStopped = false
  #endWait: () => void = () => undefined

  constructor(parts: StreamReceiverParts) {
    this.#parts = parts
    const { logger } = parts
    this.#fair = new FairClaim({ longestMs: BLOCK_MS, logger, onFailure: () => (this.#isUnsure = true) })
    this.#ahead = new ReadAhead<RedisDelivery>({
      claim: (queues, max) => this.#fair.claim(queues, max, this.#claimAhead),
      onUnused: () => void this.handBack(),
      onFailed: () => (this.#isUnsure = true),
    })
    const lost = new LostEntries({ ...parts, group: parts.settings.group })
    parts.sessions.listen({
      onOver: (consumer) => this.#leaveLanes(consumer),
      onHeld: (queue, consumer, entries) => lost.hear(queue, consumer, entries),
    })
  }

  async receive(options: ReceiveOptions): Promise<readonly RedisDelivery[]> {
    const { additionalStreams } = this.#parts.settings
    const queues =
      additionalStreams.length === 0 ? options.queues : [...new Set([...options.queues, ...additionalStreams])]
    const { max, signal } = options
    const isOver = (): boolean => signal.aborted || this.#isStopped
    try {
      this.#ahead.back()
      while (!isOver()) {
        if (this.#early.length === 0) await this.#takeAhead()
        if (this.#isUnsure) await this.#recover(queues)
        if (this.#early.length > 0) return this.#leave(queues, max, this.#takeEarly(max))
        if (this.#mustClaim()) {
          this.#claimedAt = performance.now()
          const { deliveries, waitMs } = await this.#fair.claim(queues, max, this.#claimFrom)
          if (deliveries.length > 0) return this.#leave(queues, max, deliveries)
          this.#dueAt = this.#claimedAt + waitMs
          if (isOver()) break
        }
        const waitMs = Math.max(this.#dueAt - performance.now(), 0)
        const read = await this.#wait(await this.#lanes(queues), { max, waitMs, signal })
        // All there was came with this read: the next one may wait again at once.
        this.#isDrained = read.length > 0 && read.length < max
        if (read.length > 0) return read
      }
    } catch (error) {
      if (this.#isStopped) return []
      this.#isUnsure = true
      throw error
    }
    return this.#takeEarly(max)
  }

  close(): void {
    this.#isStopped = true
    this.#endWait()
    for (const intake of this.#intakes.values()) intake.close()
    this.#intakes.clear()
    this.#ahead.close()
    this.#early = []
  }

  /**
   * A blocking read alone brings what is in the queues; the rest it only announces. So the script that looks everywhere is
   * needed when something was announced or is due, when a queue may hold more, and from time to time.
   */
  #mustClaim(): boolean {
    const now = performance.now()
    return !this.#isDrained || this.#tokens.size > 0 || now >= this.#dueAt || now - this.#claimedAt > CLAIM_EVERY_MS
  }

  /** Hands back what was claimed ahead and is not wanted. */
  async handBack(): Promise<void> {
    this.#ahead.back()
    await this.#takeAhead()
    await this.#parts.onUnused(this.#early.splice(0))
  }

  async #takeAhead(): Promise<void> {
    const ahead = await this.#ahead.take()
    if (ahead) this.#early.push(...ahead)
  }

  #leave(queues: readonly string[], max: number, deliveries: readonly RedisDelivery[]): readonly RedisDelivery[] {
    const [given, kept] = [deliveries.length, this.#early.length]
    if (given >= max || kept > 0 || this.#ahead.isClaiming) this.#ahead.left(queues, { max, given, kept })
    return deliveries
  }

  #takeEarly(max: number): readonly RedisDelivery[] {
    return this.#early.splice(0, max).filter((delivery) => this.#parts.held.has(delivery))
  }

  readonly #claimFrom = (queue: string, max: number): Promise<Claimed<RedisDelivery>> => {
    return this.#claimQueue(queue, max, 'joined')
  }

  readonly #claimAhead = (queue: string, max: number): Promise<Claimed<RedisDelivery>> => {
    return this.#claimQueue(queue, max, 'now')
  }

  async #claimQueue(queue: string, max: number, when: 'joined' | 'now'): Promise<Claimed<RedisDelivery>> {
    const { connection, settings, keysOf, sessions, onQueue } = this.#parts
    if (!this.#known.has(queue)) {
      await onQueue(queue)
      this.#known.add(queue)
    }
    const { taken, wake, leases, delayed, priority, sequence } = keysOf(queue)
    const keys = [queue, taken, wake, leases, delayed, priority, sequence]
    for (let attempt = 1; ; attempt += 1) {
      const consumer = await sessions.consumerOf(queue)
      const tokens = this.#tokens.get(queue) ?? []
      this.#tokens.delete(queue)
      let reply: unknown
      try {
        reply = await connection.run(CLAIM, keys, [settings.group, consumer, max, ...tokens], when)
      } catch (error) {
        if (!isMissingGroup(error) || attempt > 3) throw error
        this.#parts.logger.warn({ queue }, `The consumer group of queue "${queue}" is gone; making it again.`)
        // Of several groups one may be gone, and the script had taken from another.
        this.#isUnsure = true
        await sessions.renew(queue)
        continue
      }
      if (reply !== -1) return this.#unpack(queue, consumer, reply as readonly unknown[])
      if (attempt > 3) return { deliveries: [], waitMs: 0 }
      await sessions.check(queue)
    }
  }

  #unpack(queue: string, consumer: string, reply: readonly unknown[]): Claimed<RedisDelivery> {
    const [wait, old, oldAttempts, oldTaken, oldTakenAttempts, above, fresh, below] = reply
    const deliveries: RedisDelivery[] = []
    const add = (source: Source, entries: unknown, attempts?: unknown): void => {
      const counts = attempts === undefined ? undefined : parseNumbers(attempts)
      const where = { queue, source, consumer }
      let i = 0
      for (const entry of rawEntries(entries)) {
        this.#accept(where, entry, counts?.[i] ?? 1, deliveries)
        i += 1
      }
    }
    if ((old as readonly unknown[]).length > 0) add('q', old, oldAttempts)
    if ((oldTaken as readonly unknown[]).length > 0) add('t', oldTaken, oldTakenAttempts)
    add('t', above)
    add('q', fresh)
    add('t', below)
    return { deliveries, waitMs: Number(wait) < 0 ? BLOCK_MS : Number(wait) }
  }

  #accept(where: DeliveryPlace, entry: RawEntry, attempt: number, into: RedisDelivery[]): void {
    const { held, onForeign } = this.#parts
    const [rawId, fields] = entry
    // Deleted while it was pending.
    if (!fields) return
    const id = rawId.toString('latin1')
    const { body, taskId } = isTaskiqEntry(fields) ? { body: fields[1], taskId: undefined } : parseEntry(fields)
    if (body !== undefined) {
      const delivery = new RedisDelivery(where, { id, attempt, body, taskId })
      held.add(delivery)
      into.push(delivery)
      return
    }
    const shown = JSON.stringify(fields.map((field) => field.toString()))
    const delivery = new RedisDelivery(where, { id, attempt, body: shown, taskId })
    held.add(delivery)
    onForeign(delivery, 'The entry has no field "data": it is no message of Taskiq or Kiq.')
  }

  /** Which blocking reads it takes to hear of all queues. */
  async #lanes(queues: readonly string[]): Promise<readonly Lane[]> {
    const { connection, sessions } = this.#parts
    const lanes = new Map<string, { consumer: string; queues: string[] }>()
    for (const queue of queues) {
      const consumer = await sessions.consumerOf(queue)
      const key = connection.isCluster ? `${consumer} ${queue}` : consumer
      const lane = lanes.get(key)
      if (lane) lane.queues.push(queue)
      else lanes.set(key, { consumer, queues: [queue] })
    }
    return [...lanes.values()]
  }

  /** Waits until something comes, is due, or the wait is over. */
  async #wait(
    lanes: readonly Lane[],
    { max, waitMs, signal }: { readonly max: number; readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<readonly RedisDelivery[]> {
    const { settings } = this.#parts
    // Outcomes that are about to be written go first: the read that blocks would be in their way.
    for (let turn = 0; turn < TURNS_OF_OUTCOMES; turn += 1) await new Promise(setImmediate)
    const isOnly = lanes.length === 1
    // Over before the lease is: else the read of a process that sleeps takes what should wake the others.
    const longest = Math.min(this.#parts.connection.isCluster ? CLUSTER_BLOCK_MS : BLOCK_MS, settings.leaseMs / 2)
    const blockMs = Math.max(1, Math.min(waitMs, longest))
    const count = isOnly ? max : Math.min(max, SIDE_READ)
    const intakes = lanes.map((lane) => this.#intakeOf(lane))
    const reads = lanes.map((lane, i) => this.#read(lane, intakes[i] as Intake, { count, blockMs }))
    await this.#first(reads, signal)
    if (signal.aborted && !this.#isStopped) await Promise.all(intakes.map((intake) => intake.unblock()))
    return this.#takeEarly(max)
  }

  /**
   * Resolves when one of the reads has ended, or the wait. Of those that come later one may fail: the next receive sees it.
   */
  #first(reads: readonly Promise<void>[], signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        signal.removeEventListener('abort', end)
        resolve()
      }
      this.#endWait = end
      signal.addEventListener('abort', end, { once: true })
      for (const read of reads) {
        read.then(end, (error: unknown) => {
          reject(error instanceof Error ? error : new Error(String(error)))
          end()
        })
      }
      if (signal.aborted) end()
    })
  }

  #intakeOf(lane: Lane): Intake {
    const key = this.#keyOf(lane)
    const known = this.#intakes.get(key)
    if (known) return known
    const intake = new Intake(this.#parts.connection)
    this.#intakes.set(key, intake)
    return intake
  }

  #keyOf({ consumer, queues }: Lane): string {
    return this.#parts.connection.isCluster ? `${consumer} ${queues.join(' ')}` : consumer
  }

  /** Whether we ended its reads ourselves. */
  #hasLeft(lane: Lane, intake: Intake): boolean {
    return this.#isStopped || this.#intakes.get(this.#keyOf(lane)) !== intake
  }

  /** Its session is over: what a read under its name still brought, no lease would keep. */
  #leaveLanes(consumer: string): void {
    for (const [key, intake] of this.#intakes) {
      if (key !== consumer && !key.startsWith(`${consumer} `)) continue
      this.#intakes.delete(key)
      intake.close()
    }
  }

  /** Reads into `#early`. Joins a read that is under way, which another receive began. */
  async #read(
    lane: Lane,
    intake: Intake,
    { count, blockMs }: { readonly count: number; readonly blockMs: number },
  ): Promise<void> {
    if (intake.isPending) {
      await intake.read(['PING'], blockMs).catch((error: unknown) => {
        if (!this.#hasLeft(lane, intake)) throw error
      })
      return
    }
    const { settings, keysOf, sessions, logger } = this.#parts
    const { consumer, queues } = lane
    const share = Math.max(1, Math.floor(count / queues.length))
    const streams = [...queues, ...queues.map((queue) => keysOf(queue).wake)]
    const command: readonly [string, ...RedisArgument[]] = [
      'XREADGROUP',
      'GROUP',
      settings.group,
      consumer,
      'COUNT',
      share,
      'BLOCK',
      Math.ceil(blockMs),
      'STREAMS',
      ...streams,
      ...streams.map(() => '>'),
    ]
    let reply: unknown
    try {
      reply = await intake.read(command, blockMs)
    } catch (error) {
      if (this.#hasLeft(lane, intake)) return
      if (!isMissingGroup(error)) {
        this.#isUnsure = true
        throw error
      }
      logger.warn({ queues }, `A stream or its consumer group is gone; making it again. (${textOf(error)})`)
      for (const queue of queues) await sessions.renew(queue)
      return
    }
    this.#spread(lane, reply)
  }

  #spread({ consumer, queues }: Lane, reply: unknown): void {
    const { keysOf } = this.#parts
    for (const [stream, raw] of parseStreams(reply)) {
      const entries = rawEntries(raw)
      if (queues.includes(stream)) {
        const where = { queue: stream, source: 'q', consumer } as const
        for (const entry of entries) this.#accept(where, entry, 1, this.#early)
        continue
      }
      const queue = queues.find((one) => keysOf(one).wake === stream)
      if (queue === undefined) continue
      const tokens = this.#tokens.get(queue) ?? []
      tokens.push(...entries.map(([id]) => id.toString()))
      this.#tokens.set(queue, tokens)
    }
  }

  /** Finds out what came with answers that were lost, and hands it back. */
  async #recover(queues: readonly string[]): Promise<void> {
    const { connection, settings, keysOf, sessions, held } = this.#parts
    // A read that is still under way could bring what is handed back here.
    for (const intake of this.#intakes.values()) intake.close()
    this.#intakes.clear()
    for (const queue of queues) {
      const consumer = await sessions.consumerOf(queue)
      const { taken, wake, leases } = keysOf(queue)
      const known = held
        .filter((delivery) => delivery.queue === queue && delivery.consumer === consumer)
        .flatMap(({ source, id }) => [source, id])
      await connection.run(PARK_UNKNOWN, [queue, taken, wake, leases], [settings.group, consumer, ...known])
    }
    this.#isUnsure = false
    this.#isDrained = false
  }
}
