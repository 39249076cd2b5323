/**
 * Names of what we keep in Redis. Everything of a queue lies in the slot of the queue's own key, so that scripts work in
 * a cluster; the queue itself has Taskiq's name, the name of the queue.
 */
export interface QueueKeys {
  readonly queue: string
  /** Sorted set: sessions of workers by the end of their lease. */
  readonly leases: string
  /** Sorted set: messages by the time they are due. */
  readonly delayed: string
  /** Sorted set: messages with a priority, highest first. */
  readonly priority: string
  /** Stream: messages with a priority that a worker has taken. */
  readonly taken: string
  /** Stream: one entry per worker that should look for what is not in the queue itself. */
  readonly wake: string
  /** Stream: dead letters. */
  readonly dead: string
  /** Counter: order of what is not in a stream. */
  readonly sequence: string
  /** Random; another one when all data was lost. */
  readonly epoch: string
  /** Time of the last heartbeat of any worker. */
  readonly beat: string
  /** Taskiq's own lock around its reclaim. */
  readonly autoclaim: string
  /** Of a list: beginning of the hashes with what each session holds; the name of the session follows. */
  readonly held: string
  /** Of a list: what a worker that waited has taken out of the queue, and nobody has claimed yet. */
  readonly incoming: string
  /** Of a list: hash of the deliveries so far of messages that came back to it, by the SHA-1 of their bodies. */
  readonly attempts: string
  /** Of a list: hash of the task ids that bodies do not tell, by their SHA-1. */
  readonly ids: string
}

/** Taskiq's default. */
export const DEFAULT_GROUP = 'taskiq'
/** Set: every stream that a Kiq process has used as a queue. */
export const QUEUES_KEY = 'kiq:queues'
/** Set: every list that a Kiq process has used as a queue. */
export const LIST_QUEUES_KEY = 'kiq:list-queues'
/** Channel: lists to which something was delayed, and when it is due. */
export const DUE_CHANNEL = 'kiq:due'
/** Channel: ids of tasks to cancel. */
export const CANCEL_CHANNEL = 'kiq:cancel'
/** Sorted set: tasks whose cancel was requested while they ran, by time. */
export const CANCELLED_KEY = 'kiq:cancelled'
/** First part of the names of our consumers. */
export const CONSUMER_PREFIX = 'kiq:'

const cache = new Map<string, QueueKeys>()
const MAX_CACHED = 1_000

/** The keys of a queue. */
export function queueKeys(queue: string, group: string = DEFAULT_GROUP): QueueKeys {
  const id = `${group}\n${queue}`
  const known = cache.get(id)
  if (known) return known
  // A name with a hash tag keeps it; any other becomes the tag.
  const base = /\{[^}]+\}/.test(queue) ? `kiq::${queue}` : `kiq:{${queue}}`
  // Who consumes, and what it holds, is a matter of each group; what waits is not.
  const own = group === DEFAULT_GROUP ? base : `${base}:${group}`
  const keys: QueueKeys = {
    queue,
    leases: `${own}:leases`,
    delayed: `${base}:delayed`,
    priority: `${base}:priority`,
    taken: `${own}:taken`,
    wake: `${own}:wake`,
    dead: `${own}:dead`,
    sequence: `${base}:sequence`,
    epoch: `${own}:epoch`,
    beat: `${own}:beat`,
    autoclaim: `autoclaim:${group}:${queue}`,
    held: `${own}:held:`,
    incoming: `${own}:incoming`,
    attempts: `${base}:attempts`,
    ids: `${base}:ids`,
  }
  if (cache.size >= MAX_CACHED) cache.clear()
  cache.set(id, keys)
  return keys
}
