import { resumedState, ScheduleError } from '../../contract/index.ts'
import type { FiredState, Logger, ScheduleLead, ScheduleLedger, ScheduleState } from '../../contract/index.ts'
import { show } from '../../util/show.ts'
import type { RedisConnection } from './connection.ts'
import type { ScheduleKeys } from './keys.ts'
import { LEAD, PAUSE, RESIGN, RESUME, SAVE_STATES } from './scripts/schedules.ts'

export interface RedisScheduleLedgerParts {
  /** Rejects while the source is not started. */
  readonly connection: () => Promise<RedisConnection>
  readonly keys: ScheduleKeys
  readonly logger: () => Logger
}

/** What the schedulers of all processes share. By the clock of Redis. */
export class RedisScheduleLedger implements ScheduleLedger {
  readonly #parts: RedisScheduleLedgerParts

  constructor(parts: RedisScheduleLedgerParts) {
    this.#parts = parts
  }

  async lead(name: string, holder: string, ttlMs: number): Promise<number> {
    const connection = await this.#parts.connection()
    const leftMs = await connection.run(LEAD, [this.#parts.keys.lead + name], [holder, Math.max(Math.ceil(ttlMs), 1)])
    return Number(leftMs)
  }

  async resign(name: string, holder: string): Promise<void> {
    const { keys, connection } = this.#parts
    await (await connection()).run(RESIGN, [keys.lead + name, keys.changes], [holder, keys.channel])
  }

  async load(group: string): Promise<ReadonlyMap<string, ScheduleState>> {
    const { keys } = this.#parts
    const connection = await this.#parts.connection()
    const [entries, paused] = (await Promise.all([
      connection.call('HGETALL', keys.states + group),
      connection.call('SMEMBERS', keys.paused + group),
    ])) as [unknown, readonly string[]]
    const states = new Map<string, ScheduleState>()
    for (const [id, text] of pairsOf(entries)) {
      const state = this.#read(id, text)
      if (state) states.set(id, { ...state, isPaused: false })
    }
    for (const id of paused) states.set(id, { ...states.get(id), isPaused: true })
    return states
  }

  async save(
    group: string,
    { name, holder }: ScheduleLead,
    changes: ReadonlyMap<string, FiredState | undefined>,
  ): Promise<boolean> {
    const { keys } = this.#parts
    const connection = await this.#parts.connection()
    const args = [...changes].flatMap(([id, change]) => [id, change === undefined ? '' : textOf(change)])
    const leads = await connection.run(
      SAVE_STATES,
      [keys.lead + name, keys.states + group, keys.paused + group],
      [holder, ...args],
    )
    return Number(leads) === 1
  }

  async pause(group: string, scheduleId: string): Promise<void> {
    const { keys, connection } = this.#parts
    await (await connection()).run(PAUSE, [keys.paused + group, keys.changes], [scheduleId, keys.channel])
  }

  async resume(group: string, scheduleId: string, since?: number): Promise<void> {
    const { keys } = this.#parts
    const connection = await this.#parts.connection()
    const states = keys.states + group
    const known = (await connection.call('HGET', states, scheduleId)) as string | null
    const state = known === null ? undefined : this.#read(scheduleId, known)
    const next = state ? textOf(resumedState(state, since)) : ''
    // If it has fired meanwhile, that is later.
    await connection.run(
      RESUME,
      [keys.paused + group, keys.changes, states],
      [scheduleId, keys.channel, known ?? '', next],
    )
  }

  #read(scheduleId: string, text: string): FiredState | undefined {
    try {
      return stateOf(JSON.parse(text))
    } catch (err) {
      const message = `What is known of the last firing of schedule "${scheduleId}" cannot be read and is left out.`
      this.#parts.logger().error({ err, scheduleId }, message)
      return undefined
    }
  }
}

/** A list in RESP2; the driver makes an object of it where its user wants so. */
function pairsOf(entries: unknown): readonly (readonly [string, string])[] {
  if (!Array.isArray(entries)) return Object.entries(entries as Readonly<Record<string, string>>)
  const texts = entries as readonly string[]
  return texts.flatMap((text, i) => (i % 2 === 0 ? [[text, texts[i + 1] ?? ''] as const] : []))
}

function textOf({ firedAt, taskId, seenAt }: FiredState): string {
  return JSON.stringify({ firedAt, taskId, seenAt })
}

/** @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` for what was not written here. */
function stateOf(value: unknown): FiredState {
  if (isState(value)) {
    // Other fields are those of later versions.
    return resumedState(value, undefined)
  }
  throw new ScheduleError(
    'KIQ_SCHEDULE_INVALID',
    `It is ${show(value)}, and no object with \`firedAt\` and \`taskId\`. Nothing is to be done: the next firing replaces it.`,
  )
}

function isState(value: unknown): value is FiredState {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const { firedAt, taskId, seenAt } = value as Readonly<Record<string, unknown>>
  const areTimes = [firedAt, seenAt].every((at) => at === undefined || typeof at === 'number')
  return areTimes && (taskId === undefined || typeof taskId === 'string')
}
