import type { QueueDepth } from '../../contract/index.ts'
import type { Database } from './database.ts'

type State = Exclude<keyof QueueDepth, 'queue'>

interface DepthRow {
  readonly queue: string
  readonly state: State
  readonly count: number
}

/**
 * Counts from the indexes alone, each the size of its own state: some 60 ms per million waiting messages. A delayed
 * message that is due is ready, also when no worker has looked yet.
 */
const DEPTHS = `
  SELECT queue, 'ready' AS state, count(*) AS count FROM messages WHERE state = 0 GROUP BY queue
  UNION ALL SELECT queue, iif(ready_at <= ?, 'ready', 'delayed') AS due, count(*) FROM messages WHERE state = 2
    GROUP BY queue, due
  UNION ALL SELECT queue, 'running', count(*) FROM messages WHERE state = 1 GROUP BY queue
  UNION ALL SELECT queue, 'dead', count(*) FROM dead_letters GROUP BY queue`

export function queueDepths(database: Database): QueueDepth[] {
  const depths = new Map<string, Record<State, number>>()
  for (const { queue, state, count } of database.prepare(DEPTHS).all(Date.now()) as DepthRow[]) {
    const depth = depths.get(queue) ?? { ready: 0, delayed: 0, running: 0, dead: 0 }
    depth[state] += count
    depths.set(queue, depth)
  }
  return [...depths].map(([queue, depth]) => ({ queue, ...depth }))
}
