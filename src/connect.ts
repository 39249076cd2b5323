import { ConfigError } from './contract/index.ts'
import type { RedisListBrokerOptions } from './adapters/redis/redis-broker.ts'
import type { SqliteBrokerOptions } from './adapters/sqlite/sqlite-broker.ts'
import type { Broker, BrokerOptions } from './core/index.ts'

/** What a URL says, before anybody knows what its scheme makes of it. */
interface GivenUrl {
  readonly text: string
  /** Up to the question mark. */
  readonly address: string
  readonly parameters: URLSearchParams
}

/** An adapter, and the parameters that its URLs may have besides `queue`. The adapter checks their values. */
interface Adapter {
  readonly parameters: readonly string[]
  /** Loads the adapter only when it is asked for. */
  readonly create: (url: GivenUrl, options: BrokerOptions) => Promise<Broker>
}

const memory: Adapter = {
  parameters: [],
  create: async (_url, options) => {
    const { InMemoryBroker } = await import('./adapters/memory/memory-broker.ts')
    return new InMemoryBroker(options)
  },
}

const SQLITE_PARAMETERS = ['synchronous', 'lease', 'busyTimeout', 'deadLetterTtl'] as const

const sqlite: Adapter = {
  parameters: SQLITE_PARAMETERS,
  create: async (url, options) => {
    const { SqliteBroker } = await import('./adapters/sqlite/sqlite-broker.ts')
    const given = pick(url, SQLITE_PARAMETERS) as Partial<SqliteBrokerOptions>
    return new SqliteBroker({ ...options, ...given, path: filePath(url) })
  },
}

/** Of brokers that keep messages until they are done. */
const LEASE_PARAMETERS = ['lease', 'deadLetterTtl'] as const
const REDIS_PARAMETERS = [...LEASE_PARAMETERS, 'connectTimeout'] as const
/** Of the address itself; see `parseTarget`. */
const SENTINEL_PARAMETERS = ['sentinelUsername', 'sentinelPassword'] as const

const redis: Adapter = {
  parameters: ['broker', ...REDIS_PARAMETERS, ...SENTINEL_PARAMETERS],
  create: async ({ text, address, parameters }, options) => {
    const brokers = await import('./adapters/redis/redis-broker.ts')
    const kind = parameters.get('broker') ?? 'stream'
    const of = { stream: brokers.RedisStreamBroker, list: brokers.RedisListBroker, pubsub: brokers.RedisPubSubBroker }
    if (!Object.hasOwn(of, kind)) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `${text} has the broker "${kind}". Use one of: ${Object.keys(of).join(', ')}.`,
      )
    }
    const needless = kind === 'pubsub' ? LEASE_PARAMETERS.filter((name) => parameters.has(name)) : []
    if (needless.length > 0) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `${text} has the parameter "${needless.join('", "')}", which the broker "pubsub" has no use for: it keeps no ` +
          'messages. Leave it out, or use `broker=stream`.',
      )
    }
    const given = pick({ text, address, parameters }, REDIS_PARAMETERS) as Partial<RedisListBrokerOptions>
    const own = new URLSearchParams(
      SENTINEL_PARAMETERS.flatMap((name) => parameters.getAll(name).map((value): [string, string] => [name, value])),
    ).toString()
    return new of[kind as keyof typeof of]({ ...options, ...given, url: own === '' ? address : `${address}?${own}` })
  },
}

const ADAPTERS: Readonly<Record<string, Adapter>> = {
  memory,
  sqlite,
  redis,
  rediss: redis,
  'redis+cluster': redis,
  'rediss+cluster': redis,
  'redis+sentinel': redis,
  'rediss+sentinel': redis,
}

/**
 * Makes a broker from a URL; the scheme picks the adapter:
 *
 * - `memory:`
 * - `sqlite:./data/kiq.db` (relative to the working directory) or `sqlite:///var/lib/kiq.db` (absolute), with the options
 *   `synchronous`, `lease`, `busyTimeout` and `deadLetterTtl` as parameters
 * - `redis://user:password@host:6379/0`, `rediss://…` with TLS, `redis+cluster://host1,host2`,
 *   `redis+sentinel://host1,host2/name`, with `broker=stream` (default), `list` or `pubsub`, and `lease`,
 *   `deadLetterTtl` and `connectTimeout`
 *
 * `?queue=name` sets the default queue.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` for a scheme or a parameter that is not known.
 */
export async function createBroker(url: string, options: BrokerOptions = {}): Promise<Broker> {
  const { scheme, address, query } = splitUrl(url)
  const adapter = Object.hasOwn(ADAPTERS, scheme) ? ADAPTERS[scheme] : undefined
  if (adapter === undefined) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `No broker can be made from ${JSON.stringify(withoutPassword(url))}. Use one of: ` +
        `${Object.keys(ADAPTERS)
          .map((name) => `${name}:`)
          .join(', ')} for example sqlite:./kiq.db.`,
    )
  }
  const given: GivenUrl = { text: withoutPassword(url), address, parameters: new URLSearchParams(query) }
  const known = ['queue', ...adapter.parameters]
  for (const name of given.parameters.keys()) {
    if (known.includes(name)) continue
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `${given.text} has the parameter "${name}", which is not known here. Use: ${known.join(', ')}.`,
    )
  }
  const queueName = given.parameters.get('queue') ?? options.queueName
  if (queueName === '') {
    throw new ConfigError('KIQ_CONFIG_INVALID', `${given.text} has an empty queue. Name one, or leave \`?queue=\` out.`)
  }
  return await adapter.create(given, { ...options, queueName })
}

/** By hand: several hosts are no URL by the standard. */
function splitUrl(url: string): { readonly scheme: string; readonly address: string; readonly query: string } {
  // JavaScript may give anything.
  if (typeof (url as unknown) !== 'string') return { scheme: '', address: '', query: '' }
  const mark = url.indexOf('?')
  const address = mark < 0 ? url : url.slice(0, mark)
  const scheme = address.slice(0, Math.max(address.indexOf(':'), 0)).toLowerCase()
  return { scheme, address, query: mark < 0 ? '' : url.slice(mark + 1) }
}

function withoutPassword(url: string): string {
  if (typeof (url as unknown) !== 'string') return url
  return url.replace(/\/\/[^@/]*@/, '//***@').replace(/(sentinelPassword=)[^&]*/, '$1***')
}

function pick(url: GivenUrl, names: readonly string[]): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(names.map((name) => [name, url.parameters.get(name) ?? undefined]))
}

function filePath({ text, address }: GivenUrl): string {
  if (!URL.canParse(address))
    throw new ConfigError('KIQ_CONFIG_INVALID', `${text} is no URL. Use for example sqlite:./kiq.db.`)
  const url = new URL(address)
  if (url.host !== '') {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `${text} has "${url.host}" where a host stands. Write sqlite:${url.host}${url.pathname} for a path relative ` +
        'to the working directory, or three slashes for an absolute one.',
    )
  }
  let path: string
  try {
    path = decodeURIComponent(url.pathname)
  } catch (error) {
    throw new ConfigError('KIQ_CONFIG_INVALID', `${text} cannot be decoded. Write a percent sign as %25.`, {
      cause: error,
    })
  }
  if (path !== '' && path !== '/') return path
  throw new ConfigError('KIQ_CONFIG_INVALID', `${text} names no file. Use for example sqlite:./kiq.db.`)
}
