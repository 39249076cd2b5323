import type { Body, Logger } from '../../contract/index.ts'
import type { Hub } from './hub.ts'
import { WaitLevels } from './wait-levels.ts'

/** Channels that stay subscribed though nobody waits now: mostly the one of this process's own ids. */
const MAX_IDLE_CHANNELS = 16
/** Results that came before somebody asked for them. */
const MAX_RECENT = 1_000
/** How long they are worth more than a look: the time between `kiq()` and `result()`. */
const RECENT_MS = 500
/** Ids per look. */
const BATCH = 500

type Listener = (body: Body) => void

export interface SubscriptionsParts {
  readonly hub: Hub
  readonly channelOf: (taskId: string) => string
  /** One entry per id; `undefined` = not there. */
  readonly get: (taskIds: readonly string[]) => Promise<readonly (Body | undefined)[]>
  readonly logger: Logger
}

/**
 * Waiters for results. Kiq's workers publish a result with its value, on a channel that many tasks share, so that a
 * process needs few; results of Python's workers, which publish nothing, are looked for with growing intervals.
 */
export class Subscriptions {
  readonly #parts: SubscriptionsParts
  readonly #listeners = new Map<string, Set<Listener>>()
  /** Number of ids that wait, by channel. */
  readonly #channels = new Map<string, number>()
  readonly #recent = new Map<string, { readonly body: Body; readonly at: number }>()
  readonly #levels: WaitLevels
  /** To be looked for. */
  #fresh: string[] = []
  /** Of a channel that was listened to when the wait began: to be looked for only if nothing is told. */
  #expected: string[] = []
  #looking: NodeJS.Immediate | undefined
  readonly #unlisten: () => void

  constructor(parts: SubscriptionsParts) {
    this.#parts = parts
    this.#levels = new WaitLevels((taskIds) => this.#look(taskIds))
    // Besides the looks that are planned anyway: something may have been told meanwhile.
    this.#unlisten = parts.hub.onResumed(() => {
      const waiting = [...this.#listeners.keys()]
      for (let from = 0; from < waiting.length; from += BATCH) void this.#look(waiting.slice(from, from + BATCH))
    })
  }

  add(taskId: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(taskId)
    if (listeners) {
      listeners.add(listener)
    } else {
      this.#listeners.set(taskId, new Set([listener]))
      this.#join(taskId)
    }
    return () => {
      const left = this.#listeners.get(taskId)
      if (left?.delete(listener) && left.size === 0) this.#remove(taskId)
    }
  }

  stop(): void {
    this.#unlisten()
    this.#levels.stop()
    clearImmediate(this.#looking)
    for (const channel of this.#channels.keys()) this.#parts.hub.unsubscribe(channel, this.#hear)
    this.#channels.clear()
    this.#listeners.clear()
    this.#recent.clear()
    this.#fresh = []
    this.#expected = []
  }

  #join(taskId: string): void {
    const channel = this.#parts.channelOf(taskId)
    const waiting = this.#channels.get(channel)
    this.#channels.delete(channel)
    // At the end: the order of the map is the order of use.
    this.#channels.set(channel, (waiting ?? 0) + 1)
    if (waiting !== undefined && this.#parts.hub.stands(channel)) {
      // Whatever is told from now on is heard; and what was told before, up to a bound.
      this.#expected.push(taskId)
      this.#lookSoon()
      return
    }
    if (waiting !== undefined) {
      this.#ask(taskId)
      return
    }
    void this.#parts.hub.subscribe(channel, this.#hear).then(() => this.#ask(taskId))
  }

  #ask(taskId: string): void {
    if (!this.#listeners.has(taskId)) return
    this.#fresh.push(taskId)
    this.#lookSoon()
  }

  #lookSoon(): void {
    this.#looking ??= setImmediate(() => {
      this.#looking = undefined
      const [fresh, expected] = [this.#fresh, this.#expected]
      this.#fresh = []
      this.#expected = []
      const unknown = fresh.filter((taskId) => !this.#deliverRecent(taskId))
      this.#levels.expect(expected.filter((taskId) => !this.#deliverRecent(taskId)))
      for (let from = 0; from < unknown.length; from += BATCH) this.#levels.look(unknown.slice(from, from + BATCH))
    })
  }

  #deliverRecent(taskId: string): boolean {
    const recent = this.#recent.get(taskId)
    if (recent === undefined) return false
    this.#recent.delete(taskId)
    // Another result may have taken its place, of which a worker of Python says nothing.
    if (performance.now() - recent.at > RECENT_MS) return false
    this.#deliver(taskId, recent.body)
    return true
  }

  /** @returns Those that have no result yet and are still waited for. */
  async #look(taskIds: readonly string[]): Promise<readonly string[]> {
    const wanted = taskIds.filter((taskId) => this.#listeners.has(taskId))
    if (wanted.length === 0) return []
    try {
      const bodies = await this.#parts.get(wanted)
      for (const [i, taskId] of wanted.entries()) {
        const body = bodies[i]
        if (body !== undefined) this.#deliver(taskId, body)
      }
    } catch (err) {
      // Whoever waits goes on waiting, up to its own time.
      this.#parts.logger.debug({ err }, 'Could not look for results; trying again.')
    }
    return wanted.filter((taskId) => this.#listeners.has(taskId))
  }

  /** A publication holds any number of results; see `SAVE`. */
  readonly #hear = (message: Buffer): void => {
    let at = 0
    while (at < message.length) {
      const idEnd = message.indexOf(0, at)
      const lengthEnd = message.indexOf(0, idEnd + 1)
      // Not one of ours.
      if (idEnd < 0 || lengthEnd < 0) return
      const taskId = message.toString('utf8', at, idEnd)
      at = lengthEnd + 1
      if (lengthEnd === idEnd + 1) {
        // Too long to be told: it is there to be read.
        this.#ask(taskId)
        continue
      }
      const end = at + Number(message.toString('latin1', idEnd + 1, lengthEnd))
      const body = message.subarray(at, end)
      at = end
      if (this.#listeners.has(taskId)) this.#deliver(taskId, body)
      else this.#remember(taskId, body)
    }
  }

  #remember(taskId: string, body: Body): void {
    this.#recent.set(taskId, { body, at: performance.now() })
    if (this.#recent.size <= MAX_RECENT) return
    for (const oldest of this.#recent.keys()) {
      this.#recent.delete(oldest)
      return
    }
  }

  #deliver(taskId: string, body: Body): void {
    const listeners = this.#listeners.get(taskId)
    if (listeners === undefined) return
    this.#remove(taskId)
    for (const listener of listeners) {
      try {
        listener(body)
      } catch (err) {
        this.#parts.logger.error({ err, taskId }, 'A listener for a result threw; the others are still told.')
      }
    }
  }

  #remove(taskId: string): void {
    this.#listeners.delete(taskId)
    const channel = this.#parts.channelOf(taskId)
    const waiting = (this.#channels.get(channel) ?? 1) - 1
    this.#channels.set(channel, waiting)
    if (waiting === 0 && this.#channels.size > MAX_IDLE_CHANNELS) this.#leaveOldest()
  }

  #leaveOldest(): void {
    for (const [channel, waiting] of this.#channels) {
      if (waiting > 0) continue
      this.#channels.delete(channel)
      this.#parts.hub.unsubscribe(channel, this.#hear)
      return
    }
  }
}
