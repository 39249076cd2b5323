import { ConfigError } from './contract/index.ts'
import type { SqliteBrokerOptions } from './adapters/sqlite/sqlite-broker.ts'
import type { Broker, BrokerOptions } from './core/index.ts'

/** Scheme of the URL → the adapter, loaded only when it is asked for. */
const ADAPTERS: Readonly<Record<string, (url: URL, options: BrokerOptions) => Promise<Broker>>> = {
  'memory:': async (_url, options) => {
    const { InMemoryBroker } = await import('./adapters/memory/memory-broker.ts')
    return new InMemoryBroker(options)
  },
  'sqlite:': async (url, options) => {
    const { SqliteBroker } = await import('./adapters/sqlite/sqlite-broker.ts')
    const given = Object.fromEntries(SQLITE_PARAMETERS.map((name) => [name, url.searchParams.get(name) ?? undefined]))
    return new SqliteBroker({ ...options, ...(given as Partial<SqliteBrokerOptions>), path: filePath(url) })
  },
}

/** Options of the adapter that a URL may carry; the adapter checks their values. */
const SQLITE_PARAMETERS = ['synchronous', 'lease', 'busyTimeout', 'deadLetterTtl'] as const

const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  'memory:': ['queue'],
  'sqlite:': ['queue', ...SQLITE_PARAMETERS],
}

/**
 * Makes a broker from a URL; the scheme picks the adapter: `memory:`, `sqlite:./data/kiq.db` (relative to the working
 * directory) or `sqlite:///var/lib/kiq.db` (absolute). `?queue=name` sets the default queue; SQLite's options
 * `synchronous`, `lease`, `busyTimeout` and `deadLetterTtl` can be given likewise.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` for a scheme that is not known.
 */
export async function createBroker(url: string, options: BrokerOptions = {}): Promise<Broker> {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const create = parsed && ADAPTERS[parsed.protocol]
  if (!parsed || !create) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `No broker can be made from ${JSON.stringify(url)}. Use one of: ${Object.keys(ADAPTERS).join(', ')} ` +
        'for example sqlite:./kiq.db.',
    )
  }
  const known = PARAMETERS[parsed.protocol] ?? []
  for (const name of parsed.searchParams.keys()) {
    if (known.includes(name)) continue
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `${url} has the parameter "${name}", which is not known here. Use: ${known.join(', ')}.`,
    )
  }
  const queueName = parsed.searchParams.get('queue') ?? options.queueName
  if (queueName === '') {
    throw new ConfigError('KIQ_CONFIG_INVALID', `${url} has an empty queue. Name one, or leave \`?queue=\` out.`)
  }
  return await create(parsed, { ...options, queueName })
}

function filePath(url: URL): string {
  if (url.host !== '') {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `${url.href} has "${url.host}" where a host stands. Write sqlite:${url.host}${url.pathname} for a path relative ` +
        'to the working directory, or three slashes for an absolute one.',
    )
  }
  let path: string
  try {
    path = decodeURIComponent(url.pathname)
  } catch (error) {
    throw new ConfigError('KIQ_CONFIG_INVALID', `${url.href} cannot be decoded. Write a percent sign as %25.`, {
      cause: error,
    })
  }
  if (path !== '' && path !== '/') return path
  throw new ConfigError('KIQ_CONFIG_INVALID', `${url.href} names no file. Use for example sqlite:./kiq.db.`)
}
