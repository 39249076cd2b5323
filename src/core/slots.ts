import type { Delivery } from '../contract/index.ts'

/** From this delivery on a message is suspected of killing the process that runs it: two processes died with it. */
const SUSPECT_FROM = 3

/** Outcomes that may be under way, as a multiple of the slots: enough that tasks run while a batch of them is written. */
const MAX_OUTCOMES = 4

/** How long a suspect waits for the others to end, and then runs without others beginning beside it. */
const ALONE_MS = 10_000

/** Whether the slot of a task that ended is free before its outcome is written. */
export type SlotState = 'kept' | 'given away'

export interface SlotsParts {
  readonly concurrency: number
  readonly prefetch: number
  /** A message that was delivered more often is not run at all, and so no suspect. */
  readonly maxDeliveries: number
  readonly begin: (delivery: Delivery) => void
  /** Gives deliveries that did not begin back to the transport. Never rejects. */
  readonly handBack: (deliveries: readonly Delivery[]) => Promise<void>
  /** There may be free slots again. */
  readonly onFree: () => void
}

/**
 * Which deliveries run, and which wait in this process.
 *
 * A slot is free when its task has ended, though the write of the outcome is still under way: the next messages are
 * fetched meanwhile. At most {@link MAX_OUTCOMES} times as many outcomes as there are slots may be under way like that.
 *
 * A process that dies takes all its running tasks along, and the delivery counts for each. So a message that was
 * delivered {@link SUSPECT_FROM} times is begun alone, and what waits here is handed back before: if it is the one that
 * kills, it takes nobody along, and if it is not, it ends well. Both waits are bounded, so that long tasks and suspects
 * do not hold each other up for ever.
 */
export class Slots {
  readonly #parts: SlotsParts
  readonly #waiting: Delivery[] = []
  readonly #suspects: Delivery[] = []
  #running = 0
  /** Of the running ones, those whose task has ended and whose slot was given away. */
  #ended = 0
  #alone: Delivery | undefined
  #timer: NodeJS.Timeout | undefined
  #isOpen = true

  constructor(parts: SlotsParts) {
    this.#parts = parts
  }

  /** Deliveries that began and are not settled. */
  get running(): number {
    return this.#running
  }

  /** Whether deliveries wait here that did not begin. */
  get hasWaiting(): boolean {
    return this.#waiting.length + this.#suspects.length > 0
  }

  /** How many more deliveries may be fetched. */
  get free(): number {
    if (this.#alone !== undefined || this.#suspects.length > 0) return 0
    return this.#parts.concurrency + this.#parts.prefetch - this.#occupied - this.#waiting.length
  }

  accept(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      // Nearly all: nothing waits, and a slot is free.
      if (delivery.attempt < SUSPECT_FROM && this.#isFree()) {
        this.#begin(delivery)
        continue
      }
      // Given up without being run: it ends at once and harms nobody.
      if (delivery.attempt > this.#parts.maxDeliveries && this.#isOpen) this.#begin(delivery)
      else if (delivery.attempt >= SUSPECT_FROM) this.#suspects.push(delivery)
      else this.#waiting.push(delivery)
    }
    this.#fill()
  }

  /** Its task has ended, and what is left is to write the outcome. To be told to {@link Slots.done}. */
  ended(delivery: Delivery): SlotState {
    if (this.#ended >= MAX_OUTCOMES * this.#parts.concurrency || delivery === this.#alone) return 'kept'
    this.#ended += 1
    this.#fill()
    this.#parts.onFree()
    return 'given away'
  }

  done(delivery: Delivery, slot: SlotState = 'kept'): void {
    this.#running -= 1
    if (slot === 'given away') this.#ended -= 1
    if (delivery === this.#alone) this.#endAlone()
    this.#fill()
    this.#parts.onFree()
  }

  /** Nothing begins any more. */
  close(): void {
    this.#isOpen = false
    clearTimeout(this.#timer)
  }

  /** Begins one now, whatever else runs: it is known to end at once. */
  beginNow(delivery: Delivery): void {
    this.#begin(delivery)
  }

  /** Takes out what waits here. */
  takeWaiting(): readonly Delivery[] {
    return [...this.#suspects.splice(0), ...this.#waiting.splice(0)]
  }

  get #occupied(): number {
    return this.#running - this.#ended
  }

  #isFree(): boolean {
    return this.#isOpen && this.#occupied < this.#parts.concurrency && this.#alone === undefined && !this.hasWaiting
  }

  #fill(): void {
    while (this.#isOpen && this.#alone === undefined) {
      const suspect = this.#suspects[0]
      if (suspect !== undefined) {
        this.#beginSuspect(suspect)
        return
      }
      if (this.#occupied >= this.#parts.concurrency) return
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#begin(next)
    }
  }

  #beginSuspect(suspect: Delivery): void {
    if (this.#running > 0) {
      this.#timer ??= setTimeout(() => this.#runAlone(suspect), ALONE_MS)
      return
    }
    this.#runAlone(suspect)
  }

  #runAlone(suspect: Delivery): void {
    clearTimeout(this.#timer)
    if (!this.#isOpen) return
    this.#suspects.shift()
    this.#alone = suspect
    const others = this.takeWaiting()
    if (others.length === 0) this.#beginAlone(suspect)
    else void this.#parts.handBack(others).then(() => this.#beginAlone(suspect))
  }

  #beginAlone(suspect: Delivery): void {
    if (!this.#isOpen) {
      // Closed while the others were handed back: this one is to be taken out as well.
      this.#suspects.push(suspect)
      this.#alone = undefined
      return
    }
    this.#timer = setTimeout(() => {
      this.#endAlone()
      this.#fill()
      this.#parts.onFree()
    }, ALONE_MS)
    this.#begin(suspect)
  }

  #endAlone(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#alone = undefined
  }

  #begin(delivery: Delivery): void {
    this.#running += 1
    this.#parts.begin(delivery)
  }
}
