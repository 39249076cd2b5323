/** An entry of a stream as Redis sends it; without fields when it was deleted meanwhile. */
export type RawEntry = readonly [id: Buffer, fields: readonly Buffer[] | null]

/** What of an entry is ours. */
export interface Entry {
  /** The field `data`; `undefined` = it has none, and is no message. */
  readonly body: Buffer | undefined
  /** The field `id`. */
  readonly taskId: string | undefined
}

const DATA = Buffer.from('data')
const ID = Buffer.from('id')

/** Whether an entry is as nearly all are: the field `data` and no other. By hand, because comparing buffers is slow. */
export function isTaskiqEntry(fields: readonly Buffer[]): boolean {
  const name = fields[0]
  if (fields.length !== 2 || name?.length !== 4) return false
  return name[0] === 0x64 && name[1] === 0x61 && name[2] === 0x74 && name[3] === 0x61
}

export function parseEntry(fields: readonly Buffer[]): Entry {
  let body: Buffer | undefined
  let taskId: string | undefined
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] as Buffer
    if (body === undefined && name.equals(DATA)) body = fields[i + 1]
    else if (taskId === undefined && name.equals(ID)) taskId = fields[i + 1]?.toString()
  }
  return { body, taskId }
}

/** The entries of a reply. */
export function rawEntries(reply: unknown): readonly RawEntry[] {
  return (reply ?? []) as readonly RawEntry[]
}

/** Replies of `XREADGROUP`: ioredis 5 gives pairs, ioredis 6 one flat list of names and entries. */
export function parseStreams(reply: unknown): (readonly [name: string, entries: unknown])[] {
  if (!Array.isArray(reply)) return []
  const [first] = reply as unknown[]
  const pairs = Array.isArray(first) ? (reply as readonly (readonly [Buffer, unknown])[]) : inPairs(reply as unknown[])
  return pairs.map(([name, entries]) => [name.toString(), entries])
}

function inPairs(flat: readonly unknown[]): (readonly [Buffer, unknown])[] {
  const pairs: (readonly [Buffer, unknown])[] = []
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i] as Buffer, flat[i + 1]])
  return pairs
}

/** Attempts as a script returns them. */
export function parseNumbers(reply: unknown): readonly number[] {
  return (reply ?? []) as readonly number[]
}
