import type { DeadLetter, DeadLetterFilter, DeadLetters } from '../../contract/index.ts'
import type { RedisConnection } from './connection.ts'
import type { QueueKeys } from './keys.ts'
import type { Script } from './script.ts'

/** Letters per read. */
const BATCH = 500

/** The script that puts letters back, called with their ids; it returns how many. */
export interface LetterRetry {
  readonly script: Script
  readonly keys: (keys: QueueKeys) => readonly string[]
}

export interface DeadLetterParts {
  readonly retry: LetterRetry
  readonly connection: () => RedisConnection
  /** Every queue there is. */
  readonly queues: () => Promise<readonly QueueKeys[]>
}

/** A letter, and where it lies. */
interface Found {
  readonly keys: QueueKeys
  readonly entryId: string
  readonly letter: DeadLetter
}

/** Dead letters, a stream for each queue. Their ids name the entry and the queue. */
export class RedisDeadLetters implements DeadLetters {
  readonly #parts: DeadLetterParts

  constructor(parts: DeadLetterParts) {
    this.#parts = parts
  }

  async list(filter: DeadLetterFilter = {}): Promise<readonly DeadLetter[]> {
    return (await this.#find(filter)).map(({ letter }) => letter)
  }

  async retry(filter: DeadLetterFilter = {}): Promise<number> {
    const { connection, retry } = this.#parts
    return await this.#each(filter, async (keys, ids) => await connection().run(retry.script, retry.keys(keys), ids))
  }

  async drop(filter: DeadLetterFilter = {}): Promise<number> {
    return await this.#each(filter, async ({ dead }, ids) => await this.#parts.connection().call('XDEL', dead, ...ids))
  }

  /** Oldest first, so that messages come back in the order in which they died. */
  async #each(
    filter: DeadLetterFilter,
    work: (keys: QueueKeys, ids: readonly string[]) => Promise<unknown>,
  ): Promise<number> {
    const byQueue = new Map<QueueKeys, string[]>()
    for (const { keys, entryId } of (await this.#find(filter)).reverse()) {
      const ids = byQueue.get(keys) ?? []
      ids.push(entryId)
      byQueue.set(keys, ids)
    }
    let count = 0
    for (const [keys, ids] of byQueue) {
      for (let from = 0; from < ids.length; from += BATCH) {
        count += Number(await work(keys, ids.slice(from, from + BATCH)))
      }
    }
    return count
  }

  async #find({ ids, queue, taskId, limit = Infinity }: DeadLetterFilter): Promise<Found[]> {
    const queues = (await this.#parts.queues()).filter((keys) => queue === undefined || keys.queue === queue)
    const lists = await Promise.all(
      queues.map(async (keys) =>
        ids === undefined ? await this.#newest(keys, limit, taskId) : of(taskId, await this.#named(keys, ids)),
      ),
    )
    return lists
      .flat()
      .sort((a, b) => b.letter.diedAt - a.letter.diedAt || compareIds(b.entryId, a.entryId))
      .slice(0, limit)
  }

  /** Entries have no index: to find those of a task all are read, as many at a time as may be. */
  async #newest(keys: QueueKeys, limit: number, taskId: string | undefined): Promise<Found[]> {
    const found: Found[] = []
    let to = '+'
    while (found.length < limit) {
      const count = taskId === undefined ? Math.min(BATCH, limit - found.length) : BATCH
      const reply = await this.#parts.connection().callBuffer('XREVRANGE', keys.dead, to, '-', 'COUNT', count)
      const entries = reply as readonly (readonly [Buffer, readonly Buffer[]])[]
      const read = entries.map((entry) => toFound(keys, entry))
      found.push(...of(taskId, read))
      const last = read.at(-1)
      if (last === undefined || entries.length < count) break
      to = `(${last.entryId}`
    }
    return found
  }

  async #named(keys: QueueKeys, ids: readonly string[]): Promise<Found[]> {
    const found: Found[] = []
    for (const id of new Set(ids)) {
      const entryId = entryIdOf(id, keys.queue)
      if (entryId === undefined) continue
      const reply = await this.#parts.connection().callBuffer('XRANGE', keys.dead, entryId, entryId)
      const [entry] = reply as readonly (readonly [Buffer, readonly Buffer[]])[]
      if (entry) found.push(toFound(keys, entry))
    }
    return found
  }
}

function of(taskId: string | undefined, found: readonly Found[]): readonly Found[] {
  return taskId === undefined ? found : found.filter(({ letter }) => letter.taskId === taskId)
}

function entryIdOf(id: string, queue: string): string | undefined {
  const match = /^(\d+-\d+)@(.*)$/s.exec(id)
  return match?.[2] === queue ? match[1] : undefined
}

function toFound(keys: QueueKeys, [rawId, fields]: readonly [Buffer, readonly Buffer[]]): Found {
  const entryId = rawId.toString()
  const values = new Map<string, Buffer>()
  for (let i = 0; i + 1 < fields.length; i += 2) values.set(String(fields[i]), fields[i + 1] as Buffer)
  const text = (name: string): string | undefined => values.get(name)?.toString() || undefined
  const letter: DeadLetter = {
    id: `${entryId}@${keys.queue}`,
    queue: keys.queue,
    taskId: text('id'),
    taskName: text('name'),
    body: values.get('data') ?? '',
    attempt: Number(text('attempt') ?? 1),
    reason: text('reason') ?? '',
    diedAt: Number(entryId.split('-')[0]),
  }
  return { keys, entryId, letter }
}

function compareIds(a: string, b: string): number {
  const [, first = 0] = a.split('-')
  const [, second = 0] = b.split('-')
  return Number(first) - Number(second)
}
