import { inspect } from 'node:util'

import { ConfigError, durationOption } from '../../contract/index.ts'
import type { RedisClient } from './client.ts'
import { isCluster, loadDriver } from './client.ts'
import { duplicateOf, makeClient, RedisConnection } from './connection.ts'
import type { ThreadTarget } from './connection.ts'
import type { RedisOptions } from './options.ts'
import { parseTarget } from './target.ts'

const byUrl = new Map<string, RedisConnection>()
const byClient = new WeakMap<object, RedisConnection>()

/** Which Redis the options name, checked, without connecting. */
export interface RedisAddress {
  /** Equal for options that share their connections. */
  readonly id: string | object
  readonly shown: string
  /** Number of the database; 0 in a cluster. */
  readonly db: number
  /** The connection of this process; made when there is none. */
  readonly connection: () => RedisConnection
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense. */
export function addressOf(options: RedisOptions): RedisAddress {
  const connectTimeoutMs = durationOption('connectTimeout', options.connectTimeout, { fallbackMs: 10_000, minMs: 1 })
  const { client, url } = options
  if ((client === undefined) === (url === undefined)) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `Give Redis either \`url\` or \`client\`; ${client === undefined ? 'neither is' : 'both are'} given.`,
    )
  }
  return client === undefined
    ? addressOfUrl(url, options.clientOptions ?? {}, connectTimeoutMs)
    : addressOfClient(client, connectTimeoutMs)
}

function addressOfUrl(
  url: string | undefined,
  more: Readonly<Record<string, unknown>>,
  connectTimeoutMs: number,
): RedisAddress {
  const target = parseTarget(url)
  assertNoPrefix(more)
  // Functions (a check of the server's identity) are equal only to themselves; their text will do.
  const id = `${url ?? ''} ${inspect(more, { depth: 6 })}`
  const connection = (): RedisConnection => {
    const known = byUrl.get(id)
    if (known) return known
    const made = new RedisConnection({
      makeClient: () => makeClient(target, more),
      given: undefined,
      shown: target.shown,
      thread: threadTarget({
        specifier: loadDriver().specifier,
        kind: target.kind,
        nodes: target.nodes,
        options: { ...target.options, ...more },
      }),
      connectTimeoutMs,
      onClosed: () => byUrl.delete(id),
    })
    byUrl.set(id, made)
    return made
  }
  return { id, shown: target.shown, db: dbOf({ ...target.options, ...more }), connection }
}

function addressOfClient(client: RedisClient, connectTimeoutMs: number): RedisAddress {
  const { options } = client
  assertNoPrefix(options)
  const shown = shownOf(client)
  const connection = (): RedisConnection => {
    const known = byClient.get(client)
    if (known) return known
    const made = new RedisConnection({
      makeClient: () => duplicateOf(client),
      given: client,
      shown,
      thread: threadTargetOf(client),
      connectTimeoutMs,
      onClosed: () => byClient.delete(client),
    })
    byClient.set(client, made)
    return made
  }
  return { id: client, shown, db: dbOf(options), connection }
}

function dbOf(options: object): number {
  return 'db' in options ? Number(options.db) : 0
}

function shownOf(client: RedisClient): string {
  const { host, port, name } = client.options as { host?: string; port?: number; name?: string | null }
  if (isCluster(client)) return '(the given cluster client)'
  return typeof name === 'string' ? `sentinel master ${name}` : `${host ?? 'localhost'}:${port ?? 6379}`
}

function threadTargetOf(client: RedisClient): ThreadTarget | undefined {
  let specifier: string
  try {
    specifier = loadDriver().specifier
  } catch {
    return undefined
  }
  if (!isCluster(client)) return threadTarget({ specifier, kind: 'single', nodes: [], options: { ...client.options } })
  const { redisOptions = {} } = client.options as { redisOptions?: object }
  const { startupNodes = [] } = client as { startupNodes?: readonly object[] }
  return threadTarget({ specifier, kind: 'cluster', nodes: startupNodes, options: { ...redisOptions } })
}

/** What can cross to a thread: plain values; `undefined` when that leaves nothing to connect with. */
function threadTarget(target: ThreadTarget): ThreadTarget | undefined {
  const options: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(target.options)) {
    if (typeof value === 'function') continue
    try {
      options[key] = structuredClone(value)
    } catch {
      // TLS with functions or a connector of its own: the thread could not connect as the client does.
      return undefined
    }
  }
  try {
    return { ...target, nodes: structuredClone(target.nodes), options }
  } catch {
    return undefined
  }
}

function assertNoPrefix(options: object): void {
  const { keyPrefix, redisOptions } = options as { keyPrefix?: unknown; redisOptions?: { keyPrefix?: unknown } }
  const prefix = keyPrefix ?? redisOptions?.keyPrefix
  if (prefix === undefined || prefix === null || prefix === '') return
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `The Redis client has the \`keyPrefix\` ${inspect(prefix)}, which scripts and replies do not know. Use a client ` +
      'without one; set `queueName` and the `prefix` of results instead.',
  )
}
