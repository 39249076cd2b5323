const FIRST_MS = 10
const LAST_MS = 1_280
/** Most ids that one look asks for, and looks per second: however many wait, they cost so much. */
const BATCH = 500
const LOOKS_PER_SECOND = 20

interface Due {
  readonly taskId: string
  readonly at: number
}

interface Level {
  readonly everyMs: number
  /** In the order of their times, as all wait equally long. */
  readonly waiting: Due[]
}

/**
 * Asks for ids again and again, with intervals that double from 10 ms to about a second, all that are due in one look.
 * Only while somebody waits, and at most 10,000 ids a second.
 */
export class WaitLevels {
  readonly #look: (taskIds: readonly string[]) => Promise<readonly string[]>
  readonly #levels: readonly Level[]
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  /** @param look - Resolves to the ids that are to be asked for again. */
  constructor(look: (taskIds: readonly string[]) => Promise<readonly string[]>) {
    this.#look = look
    const levels: Level[] = []
    for (let everyMs = FIRST_MS; everyMs <= LAST_MS; everyMs *= 2) levels.push({ everyMs, waiting: [] })
    this.#levels = levels
  }

  /** Asks for these now, and then later and later. */
  look(taskIds: readonly string[]): void {
    void this.#ask(taskIds, 0)
  }

  /** Asks for these soon: they are expected to be told. */
  expect(taskIds: readonly string[]): void {
    this.#postpone(taskIds, 0)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    for (const { waiting } of this.#levels) waiting.length = 0
  }

  async #ask(taskIds: readonly string[], level: number): Promise<void> {
    this.#postpone(await this.#look(taskIds), level)
  }

  #postpone(taskIds: readonly string[], level: number): void {
    const next = this.#levels[Math.min(level, this.#levels.length - 1)]
    if (this.#isStopped || next === undefined || taskIds.length === 0) return
    const at = performance.now() + next.everyMs
    for (const taskId of taskIds) next.waiting.push({ taskId, at })
    this.#schedule()
  }

  #schedule(): void {
    if (this.#timer !== undefined) return
    let at = Infinity
    for (const { waiting } of this.#levels) at = Math.min(at, waiting[0]?.at ?? Infinity)
    if (at === Infinity) return
    this.#timer = setTimeout(() => void this.#tick(), Math.max(at - performance.now(), 1))
    this.#timer.unref()
  }

  async #tick(): Promise<void> {
    const now = performance.now()
    let room = BATCH
    const looks: Promise<void>[] = []
    for (const [level, { waiting }] of this.#levels.entries()) {
      let count = 0
      while (count < room && (waiting[count]?.at ?? Infinity) <= now) count += 1
      if (count === 0) continue
      room -= count
      const taskIds = waiting.splice(0, count).map(({ taskId }) => taskId)
      looks.push(this.#ask(taskIds, level + 1))
    }
    await Promise.all(looks)
    const pauseMs = room > 0 ? 0 : 1_000 / LOOKS_PER_SECOND
    this.#timer = undefined
    if (this.#isStopped) return
    if (pauseMs === 0) this.#schedule()
    else this.#timer = setTimeout(() => void this.#tick(), pauseMs).unref()
  }
}
