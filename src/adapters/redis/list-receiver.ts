import { BrokerError } from '../../contract/index.ts'
import type { ReceiveOptions } from '../../contract/index.ts'
import { sleep } from '../../util/abort.ts'
import { RedisDelivery } from './delivery.ts'
import type { DeliveryPlace } from './delivery.ts'
import { FairClaim } from './fair-claim.ts'
import type { Claimed } from './fair-claim.ts'
import { isOutOfMemory } from './failure.ts'
import { Intake } from './intake.ts'
import { DUE_CHANNEL } from './keys.ts'
import type { QueueKeys } from './keys.ts'
import type { MessageReceiver, WorkerContext } from './layout.ts'
import { CLAIM_FROM_LIST, RETURN_TO_LIST } from './scripts/list-messages.ts'
import { RETURN_UNKNOWN } from './scripts/list-sessions.ts'

/** Longest wait for a message; without one, a look at everything else comes as often. */
const BLOCK_MS = 5_000
/** Where `CLIENT UNBLOCK` does not reach: an aborted receive ends by itself within a second. */
const CLUSTER_BLOCK_MS = 800
/** How much later than asked a wait ends that has no read of its own. */
const JOINED_MS = 50
/** Without memory a worker cannot wait for messages, only look for them so often. */
const OUT_OF_MEMORY_MS = 500
/** Claims that find their session over before the receive starts anew. */
const MAX_CLAIMS = 3

export interface ListReceiverParts extends WorkerContext {
  readonly keysOf: (queue: string) => QueueKeys
}

/**
 * Takes messages from lists. A worker that has nothing to do waits with `BLMOVE` into a list that all workers of the queue
 * share; a script then claims from that list first, no matter whose, so that nothing is lost there when a worker dies.
 */
export class ListReceiver implements MessageReceiver {
  readonly #parts: ListReceiverParts
  readonly #fair: FairClaim<RedisDelivery>
  readonly #intakes = new Map<string, Intake>()
  /** Reads that block, by queue. They may outlive the receive that began them. */
  readonly #reads = new Map<string, Promise<void>>()
  readonly #known = new Set<string>()
  #isReceiving = false
  /** Queues of which a read has moved a message, which waits to be claimed. */
  readonly #moved = new Set<string>()
  /** Messages may have come whose answer was lost. */
  #isUnsure = false
  #isStopped = false
  #endWait: () => void = () => undefined

  constructor(parts: ListReceiverParts) {
    this.#parts = parts
    const { logger } = parts
    this.#fair = new FairClaim({ longestMs: BLOCK_MS, logger, onFailure: () => (this.#isUnsure = true) })
    void parts.connection.hub.subscribe(DUE_CHANNEL, this.#hearDue)
  }

  async receive({ queues, max, signal }: ReceiveOptions): Promise<readonly RedisDelivery[]> {
    const isOver = (): boolean => signal.aborted || this.#isStopped
    this.#isReceiving = true
    try {
      while (!isOver() || (this.#moved.size > 0 && !this.#isStopped)) {
        if (this.#isUnsure) await this.#recover(queues)
        this.#moved.clear()
        const { deliveries, waitMs } = await this.#fair.claim(queues, max, this.#claimFrom)
        if (deliveries.length > 0) return deliveries
        if (!isOver()) await this.#wait(queues, waitMs, signal)
      }
    } catch (error) {
      if (this.#isStopped) return []
      this.#isUnsure = true
      throw error
    } finally {
      this.#isReceiving = false
      for (const queue of this.#moved) this.#giveBack(queue)
      this.#moved.clear()
    }
    return []
  }

  close(): void {
    this.#isStopped = true
    this.#endWait()
    this.#parts.connection.hub.unsubscribe(DUE_CHANNEL, this.#hearDue)
    for (const intake of this.#intakes.values()) intake.close()
    this.#intakes.clear()
  }

  readonly #claimFrom = async (queue: string, max: number): Promise<Claimed<RedisDelivery>> => {
    const { connection, keysOf, sessions, sender } = this.#parts
    if (!this.#known.has(queue)) {
      await sender.declare(queue)
      this.#known.add(queue)
    }
    const { delayed, sequence, attempts, ids, leases, incoming, held } = keysOf(queue)
    for (let claims = 1; ; claims += 1) {
      const consumer = await sessions.consumerOf(queue)
      const keys = [queue, delayed, sequence, attempts, ids, leases, incoming, held + consumer]
      const reply = await connection.run(CLAIM_FROM_LIST, keys, [consumer, max])
      if (reply !== -1) return this.#unpack({ queue, source: 'q', consumer }, reply as readonly unknown[])
      if (claims > MAX_CLAIMS) return { deliveries: [], waitMs: 0 }
      await sessions.check(queue)
    }
  }

  #unpack(place: DeliveryPlace, [wait, heldThere, ...messages]: readonly unknown[]): Claimed<RedisDelivery> {
    const { held } = this.#parts
    const deliveries: RedisDelivery[] = []
    for (let i = 0; i + 1 < messages.length; i += 2) {
      const id = String(messages[i])
      const [first, second] = [id.indexOf(':'), id.indexOf(':', id.indexOf(':') + 1)]
      const attempt = Number(id.slice(first + 1, second))
      const taskId = second + 1 < id.length ? id.slice(second + 1) : undefined
      const delivery = new RedisDelivery(place, { id, attempt, body: messages[i + 1] as Buffer, taskId })
      held.add(delivery)
      deliveries.push(delivery)
    }
    // More than this process knows of: an answer was lost, or Redis lost the last settlements.
    if (Number(heldThere) > held.size) this.#isUnsure = true
    return { deliveries, waitMs: Number(wait) < 0 ? BLOCK_MS : Number(wait) }
  }

  /** Waits until something comes, is due, or the wait is over. */
  async #wait(queues: readonly string[], waitMs: number, signal: AbortSignal): Promise<void> {
    const longest = this.#parts.connection.isCluster ? CLUSTER_BLOCK_MS : BLOCK_MS
    const blockMs = Math.max(1, Math.min(waitMs, longest))
    const reads = queues.map((queue) => this.#read(queue, blockMs))
    const ended = new Promise<void>((resolve) => (this.#endWait = resolve))
    const end = this.#endWait
    signal.addEventListener('abort', end, { once: true })
    // A read that an earlier receive began may last longer than this wait.
    const timer = setTimeout(end, blockMs + JOINED_MS)
    try {
      if (!signal.aborted) await Promise.race([...reads, ended])
      if (signal.aborted && !this.#isStopped) {
        await Promise.all([...this.#intakes.values()].map((intake) => intake.unblock()))
      }
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      // Of those that lost the race one may fail later; the next receive sees it.
      for (const read of reads) read.catch(() => undefined)
    }
  }

  /** Begins a read, or joins the one that is under way. */
  #read(queue: string, blockMs: number): Promise<void> {
    const known = this.#reads.get(queue)
    if (known) return known
    const read = this.#move(queue, blockMs).finally(() => this.#reads.delete(queue))
    this.#reads.set(queue, read)
    return read
  }

  async #move(queue: string, blockMs: number): Promise<void> {
    const { incoming } = this.#parts.keysOf(queue)
    let moved: unknown
    try {
      const command = ['BLMOVE', queue, incoming, 'RIGHT', 'LEFT', blockMs / 1_000] as const
      moved = await this.#intakeOf(queue).read(command, blockMs)
    } catch (error) {
      if (this.#isStopped) return
      if (!(error instanceof BrokerError && isOutOfMemory(error.cause))) throw error
      // Refused only because it could; messages can be claimed all the same.
      await sleep(Math.min(blockMs, OUT_OF_MEMORY_MS))
      return
    }
    if (moved === null || this.#isStopped) return
    if (this.#isReceiving) this.#moved.add(queue)
    else this.#giveBack(queue)
  }

  /** Came when there was no room for it any more: others may have some. */
  #giveBack(queue: string): void {
    if (this.#isStopped) return
    const { connection, keysOf, logger } = this.#parts
    connection.run(RETURN_TO_LIST, [queue, keysOf(queue).incoming], []).catch((err: unknown) => {
      logger.debug({ err, queue }, 'Could not put back a message; the next heartbeat of any worker does.')
    })
  }

  #intakeOf(queue: string): Intake {
    const known = this.#intakes.get(queue)
    if (known) return known
    const intake = new Intake(this.#parts.connection)
    this.#intakes.set(queue, intake)
    return intake
  }

  /** Something was delayed by a process that may not live to see it due. */
  readonly #hearDue = (message: Buffer): void => {
    const text = message.toString()
    const space = text.indexOf(' ')
    const queue = text.slice(space + 1)
    if (this.#known.has(queue)) this.#parts.promoter.note(queue, Number(text.slice(0, space)))
  }

  /** Finds out what came with answers that were lost, and puts it back. */
  async #recover(queues: readonly string[]): Promise<void> {
    const { connection, keysOf, sessions, held } = this.#parts
    for (const queue of queues) {
      const consumer = await sessions.consumerOf(queue)
      const known = held.filter((delivery) => delivery.queue === queue && delivery.consumer === consumer)
      const { attempts, ids, held: prefix } = keysOf(queue)
      const keys = [queue, attempts, ids, prefix + consumer]
      await connection.run(
        RETURN_UNKNOWN,
        keys,
        known.map(({ id }) => id),
      )
    }
    this.#isUnsure = false
  }
}
