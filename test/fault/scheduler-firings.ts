import { createHash } from 'node:crypto'

/** A message of a schedule in the queue. */
export interface Arrival {
  readonly scheduleId: string
  readonly taskId: string
  /** When it came into the queue, milliseconds since the epoch. */
  readonly at: number
}

/** What became of schedules of one second each. Texts name the schedule, and the planned time within its chain. */
export interface FiringReport {
  readonly schedules: number
  readonly firings: number
  /** Sent twice for the same planned time. */
  readonly doubled: readonly string[]
  /** Absent between the first and the last. */
  readonly missed: readonly Missed[]
  /** Not a whole number of seconds after the first: another chain has begun. */
  readonly strays: readonly string[]
  /** No planned time around its arrival has that task id. */
  readonly unknown: readonly string[]
  readonly sent: readonly SentFiring[]
  /** Of all that was sent. */
  readonly lateMs: readonly number[]
  /** Up to this planned time every schedule has fired. */
  readonly coveredUntil: number
}

export interface SentFiring {
  /** As planned. */
  readonly at: number
  /** From then until it came into the queue. */
  readonly lateMs: number
}

export interface Missed {
  readonly scheduleId: string
  readonly at: number
  /** By how much it would have been late if it had been sent when the next one was. */
  readonly lateMs: number
}

const EVERY_MS = 1_000
/** Far more than any test bears. */
const MAX_LATE_MS = 30_000
/** The clock of an engine that says when something arrived may be rounded. */
const MAX_EARLY_MS = 50

/**
 * Which planned times were sent.
 *
 * A message does not tell for which time it was planned, but its task id does: it is a hash of the source, the schedule
 * and that time, so that a planned time is found by trying. Neither the order of messages nor the moment of their arrival
 * decides: a firing that is made up for counts for the time for which it was planned, however late, and two messages for
 * one time are a doubled firing even when both are late.
 *
 * @param scopeOf - What tells the schedules of one source from those of another, see `FiringSender`.
 */
export function examine(arrivals: readonly Arrival[], scopeOf: (scheduleId: string) => string): FiringReport {
  const chains = new Map<string, Chain>()
  for (const arrival of arrivals) {
    const { scheduleId } = arrival
    const chain = chains.get(scheduleId) ?? new Chain(scheduleId, scopeOf(scheduleId))
    chains.set(scheduleId, chain)
    chain.add(arrival)
  }
  const all = [...chains.values()]
  const sent = all.flatMap((chain) => chain.sent)
  return {
    schedules: all.length,
    firings: arrivals.length,
    doubled: all.flatMap((chain) => chain.doubled),
    missed: all.flatMap((chain) => chain.missed),
    strays: all.flatMap((chain) => chain.strays),
    unknown: all.flatMap((chain) => chain.unknown),
    sent,
    lateMs: sent.map(({ lateMs }) => lateMs),
    coveredUntil: Math.min(...all.map((chain) => chain.last)),
  }
}

/** The firings of one schedule: a first one, and one more with each second. */
class Chain {
  readonly #id: string
  readonly #scope: string
  /** By planned time. */
  readonly #arrivals = new Map<number, number>()
  #first: number | undefined
  readonly doubled: string[] = []
  readonly strays: string[] = []
  readonly unknown: string[] = []
  readonly sent: SentFiring[] = []

  constructor(id: string, scope: string) {
    this.#id = id
    this.#scope = scope
  }

  get last(): number {
    return Math.max(...this.#arrivals.keys())
  }

  get missed(): readonly Missed[] {
    const missed: Missed[] = []
    const first = Math.min(...this.#arrivals.keys())
    let nextAt = 0
    for (let at = this.last; at > first; at -= EVERY_MS) {
      const arrivedAt = this.#arrivals.get(at)
      if (arrivedAt === undefined) missed.push({ scheduleId: this.#id, at, lateMs: nextAt - at })
      else nextAt = arrivedAt
    }
    return missed
  }

  add(arrival: Arrival): void {
    const at = this.#inChain(arrival) ?? this.#anywhere(arrival)
    if (at === undefined) {
      this.unknown.push(`${this.#id} ${arrival.taskId}`)
      return
    }
    this.#first ??= at
    const name = `${this.#id} at ${at - this.#first} ms`
    if (this.#arrivals.has(at)) this.doubled.push(name)
    if ((at - this.#first) % EVERY_MS !== 0) this.strays.push(name)
    this.#arrivals.set(at, arrival.at)
    this.sent.push({ at, lateMs: arrival.at - at })
  }

  /** Nearly all are, and this is a matter of a few hashes. */
  #inChain({ taskId, at }: Arrival): number | undefined {
    if (this.#first === undefined) return undefined
    const seconds = Math.floor((at + MAX_EARLY_MS - this.#first) / EVERY_MS)
    const latest = this.#first + seconds * EVERY_MS
    for (let planned = latest; planned >= at - MAX_LATE_MS; planned -= EVERY_MS) {
      if (this.#idOf(planned) === taskId) return planned
    }
    return undefined
  }

  #anywhere({ taskId, at }: Arrival): number | undefined {
    for (let planned = at + MAX_EARLY_MS; planned >= at - MAX_LATE_MS; planned -= 1) {
      if (this.#idOf(planned) === taskId) return planned
    }
    return undefined
  }

  /** As `FiringSender` makes it. */
  #idOf(planned: number): string {
    const text = JSON.stringify([this.#scope, this.#id, planned])
    return createHash('sha256').update(text).digest('hex').slice(0, 32)
  }
}
