import { inspect } from 'node:util'

import { ConfigError } from '../../contract/index.ts'

interface Address {
  readonly host: string
  readonly port: number
}

/** What a URL says, in the words of ioredis: structured-cloneable, so that a thread can connect likewise. */
export interface RedisTarget {
  readonly kind: 'single' | 'cluster' | 'sentinel'
  /** Of a cluster: any of its nodes. */
  readonly nodes: readonly Address[]
  /** Options of a `Redis`, or of each node of a `Cluster`. */
  readonly options: Readonly<Record<string, unknown>>
  /** The target as a message may show it: without the password. */
  readonly shown: string
}

const FORM = /^(redis|rediss)(?:\+(cluster|sentinel))?:\/\/(?:([^@/?]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/
const DEFAULT_PORT = { single: 6379, cluster: 6379, sentinel: 26_379 } as const
const SENTINEL_PARAMETERS: readonly string[] = ['sentinelUsername', 'sentinelPassword']
const HINT =
  'Use redis://host:6379/0, rediss://… for TLS, redis+cluster://host1,host2 or redis+sentinel://host1,host2/name.'

/**
 * Reads the URL of a Redis:
 *
 * - `redis://[user:password@]host[:port][/db]`, `rediss://` with TLS
 * - `redis+cluster://[user:password@]host[:port],host[:port]…`, `rediss+cluster://` with TLS
 * - `redis+sentinel://[user:password@]sentinel[:port],…/master-name[/db]`, `rediss+sentinel://`;
 *   `?sentinelPassword=` and `?sentinelUsername=` for the sentinels themselves
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` with the part that is wrong.
 */
export function parseTarget(url: unknown): RedisTarget {
  const match = typeof url === 'string' ? FORM.exec(url) : null
  if (!match) throw invalid(url, 'is not the URL of a Redis')
  const [, scheme, topology, credentials, hosts = '', path = '', query = ''] = match
  const kind = topology === 'cluster' || topology === 'sentinel' ? topology : 'single'
  const nodes = (hosts === '' ? ['localhost'] : hosts.split(',')).map((host) => parseAddress(url, host, kind))
  if (kind === 'single' && nodes.length > 1) throw invalid(url, 'names several hosts')
  const [first = '', second = ''] = path.split('/')
  if (kind === 'sentinel' && first === '') throw invalid(url, 'names no master: it stands after the hosts')
  const db = parseDb(url, kind === 'sentinel' ? second : first)
  if (kind === 'cluster' && db !== 0) throw invalid(url, 'names a database, and a cluster has none')
  const [address] = nodes
  const parameters = new URLSearchParams(query)
  for (const name of parameters.keys()) {
    if (kind === 'sentinel' && SENTINEL_PARAMETERS.includes(name)) continue
    throw invalid(
      url,
      `has the parameter "${name}": give options beside \`url\`, those of ioredis in \`clientOptions\``,
    )
  }
  const tls = scheme === 'rediss' ? { tls: {} } : {}
  const options = {
    ...parseCredentials(url, credentials),
    ...tls,
    ...(kind === 'single' ? { host: address?.host, port: address?.port, db } : {}),
    ...(kind === 'sentinel'
      ? {
          sentinels: nodes,
          name: decode(url, first),
          db,
          ...optional('sentinelPassword', parameters.get('sentinelPassword')),
          ...optional('sentinelUsername', parameters.get('sentinelUsername')),
          ...(scheme === 'rediss' ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
        }
      : {}),
  }
  const place = nodes.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',')
  const suffix = topology ? `+${topology}` : ''
  return { kind, nodes, options, shown: `${scheme ?? ''}${suffix}://${place}${path === '' ? '' : `/${path}`}` }
}

function parseAddress(url: unknown, text: string, kind: RedisTarget['kind']): Address {
  const match = /^(?:\[([\da-fA-F:.]+)\]|([^:\s[\]]+))(?::(\d{1,5}))?$/.exec(text)
  const port = Number(match?.[3] ?? DEFAULT_PORT[kind])
  const host = match?.[1] ?? match?.[2]
  if (host === undefined || port === 0 || port > 65_535) throw invalid(url, `has "${text}" where a host stands`)
  return { host, port }
}

function parseDb(url: unknown, text: string): number {
  if (text === '') return 0
  if (/^\d{1,6}$/.test(text)) return Number(text)
  throw invalid(url, `names the database "${text}", which is no number`)
}

function parseCredentials(url: unknown, text: string | undefined): Readonly<Record<string, string>> {
  if (text === undefined || text === '') return {}
  const colon = text.indexOf(':')
  const username = decode(url, colon < 0 ? text : text.slice(0, colon))
  const password = colon < 0 ? '' : decode(url, text.slice(colon + 1))
  return { ...optional('username', username), ...optional('password', password) }
}

function decode(url: unknown, text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid(url, 'has a percent sign that is not written as %25')
  }
}

function optional<K extends string>(key: K, value: string | null): { readonly [P in K]?: string } {
  return value === null || value === '' ? {} : ({ [key]: value } as { readonly [P in K]: string })
}

function invalid(url: unknown, problem: string): ConfigError {
  const shown = typeof url === 'string' ? JSON.stringify(url.replace(/\/\/[^@/]*@/, '//***@')) : inspect(url)
  return new ConfigError('KIQ_CONFIG_INVALID', `\`url\` is ${shown}, which ${problem}. ${HINT}`)
}
