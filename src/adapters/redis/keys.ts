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
  /** Beginning of the keys of messages that are sent once; the key of the message follows. */
  readonly once: string
  /** The same of a channel, which is another queue than the stream or list of its name. */
  readonly publishedOnce: string
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
    once: `${base}:once:`,
    publishedOnce: `${base}:published-once:`,
    held: `${own}:held:`,
    incoming: `${own}:incoming`,
    attempts: `${base}:attempts`,
    ids: `${base}:ids`,
  }
  if (cache.size >= MAX_CACHED) cache.clear()
  cache.set(id, keys)
  return keys
}

/** Names of what schedulers share, beside the schedules of one source. All keys lie in one slot. */
export interface ScheduleKeys {
  /** Channel: there is a change to look at. */
  readonly channel: string
  /** Counter: leads that were given up, and schedules that were paused or resumed. */
  readonly changes: string
  /** Beginning of the leads; the name of the group follows. */
  readonly lead: string
  /** Beginning of the hashes of what was fired, as JSON by the id of the schedule; the name of the group follows. */
  readonly states: string
  /** Beginning of the sets of paused ids; the name of the group follows. */
  readonly paused: string
}

/** Which source, in which database: those of both kinds may have the same prefix. */
export interface SchedulePlace {
  readonly kind: 'keys' | 'list'
  readonly prefix: string
  readonly db: number
}

export function scheduleKeys({ kind, prefix, db }: SchedulePlace): ScheduleKeys {
  const own = `${scheduleBase(prefix)}:${kind}`
  return {
    // Databases share their channels.
    channel: `${own}:${db}`,
    changes: `${own}:changes`,
    lead: `${own}:lead:`,
    states: `${own}:states:`,
    paused: `${own}:paused:`,
  }
}

/** Whether all keys with such a prefix lie in one slot. */
export function hasHashTag(prefix: string): boolean {
  const [, tag = ''] = /\{([^}]*)\}/.exec(prefix) ?? []
  return tag !== ''
}

function scheduleBase(prefix: string): string {
  // It would be an empty tag, which is none.
  if (prefix === '' || prefix.startsWith('}')) return `kiq:{schedules}:${prefix}`
  const base = hasHashTag(prefix) ? `kiq:schedules::${prefix}` : `kiq:schedules:{${prefix}}`
  // What begins so is a schedule for Taskiq, and it reads none when it cannot read one.
  return base.startsWith(`${prefix}:`) ? `of:${base}` : base
}
