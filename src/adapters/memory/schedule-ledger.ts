import { resumedState } from '../../contract/index.ts'
import type { FiredState, ScheduleLead, ScheduleLedger, ScheduleState } from '../../contract/index.ts'

interface Held {
  readonly holder: string
  /** On the clock of this process, which nobody sets. */
  readonly until: number
}

/** What schedulers of one process share. */
export class MemoryScheduleLedger implements ScheduleLedger {
  readonly #leads = new Map<string, Held>()
  readonly #groups = new Map<string, Map<string, ScheduleState>>()
  readonly #changed: () => void

  /** @param changed - Called after what other schedulers should look at. */
  constructor(changed: () => void) {
    this.#changed = changed
  }

  async lead(name: string, holder: string, ttlMs: number): Promise<number> {
    const now = performance.now()
    const held = this.#leads.get(name)
    if (held && held.holder !== holder && held.until > now) return held.until - now
    this.#leads.set(name, { holder, until: now + ttlMs })
    return 0
  }

  async resign(name: string, holder: string): Promise<void> {
    if (this.#leads.get(name)?.holder !== holder) return
    this.#leads.delete(name)
    this.#changed()
  }

  async load(group: string): Promise<ReadonlyMap<string, ScheduleState>> {
    return new Map(this.#groups.get(group))
  }

  async save(
    group: string,
    { name, holder }: ScheduleLead,
    changes: ReadonlyMap<string, FiredState | undefined>,
  ): Promise<boolean> {
    const held = this.#leads.get(name)
    if (held?.holder !== holder || held.until <= performance.now()) return false
    const states = this.#statesOf(group)
    for (const [id, change] of changes) {
      if (change === undefined) states.delete(id)
      else states.set(id, { ...change, isPaused: states.get(id)?.isPaused ?? false })
    }
    return true
  }

  async pause(group: string, scheduleId: string): Promise<void> {
    const states = this.#statesOf(group)
    states.set(scheduleId, { ...states.get(scheduleId), isPaused: true })
    this.#changed()
  }

  async resume(group: string, scheduleId: string, since?: number): Promise<void> {
    const states = this.#statesOf(group)
    const state = states.get(scheduleId)
    if (state) states.set(scheduleId, { ...resumedState(state, since), isPaused: false })
    this.#changed()
  }

  #statesOf(group: string): Map<string, ScheduleState> {
    const known = this.#groups.get(group)
    if (known) return known
    const states = new Map<string, ScheduleState>()
    this.#groups.set(group, states)
    return states
  }
}
