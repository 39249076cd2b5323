import { createRequire } from 'node:module'

import { ConfigError } from '../../contract/index.ts'

/** An argument of a command. */
export type RedisArgument = string | number | Uint8Array

/**
 * The part of an ioredis client, 5 or 6, that we use; `Redis` and `Cluster` both have it. Structural, so that the types
 * of the driver are not needed by those who do not use Redis.
 */
export interface RedisClient {
  /** For example `ready`, `connecting`, `reconnecting`, `end`. */
  readonly status: string
  readonly options: object
  /** The socket of a `Redis`. */
  readonly stream?: { cork?(): void; uncork(): void; readonly writable?: boolean } | undefined
  call(command: string, ...args: RedisArgument[]): Promise<unknown>
  /** As `call`, with bulk strings as `Buffer`. */
  callBuffer(command: string, ...args: RedisArgument[]): Promise<unknown>
  connect(): Promise<unknown>
  /** Ends the connection now; what is under way rejects. */
  disconnect(reconnect?: boolean): void
  on(event: string, listener: (...args: unknown[]) => void): unknown
  off(event: string, listener: (...args: unknown[]) => void): unknown
  /** A client of its own to the same place; arguments differ between `Redis` and `Cluster`. */
  duplicate(...overrides: never[]): unknown
  subscribe(...channels: string[]): Promise<unknown>
  unsubscribe(...channels: string[]): Promise<unknown>
}

/** The part of the module `ioredis` that we use. */
interface RedisDriver {
  readonly Redis: (new (options: object) => RedisClient) & {
    readonly Cluster: new (nodes: readonly object[], options: object) => RedisClient
  }
}

/** A driver, and how another thread finds the same one. */
export interface LoadedDriver {
  readonly driver: RedisDriver
  /** Absolute path for `require`. */
  readonly specifier: string
}

let loaded: LoadedDriver | undefined

/**
 * The driver, loaded when the first client is made by us.
 *
 * @throws {ConfigError} `KIQ_PEER_MISSING` with the install command.
 */
export function loadDriver(): LoadedDriver {
  loaded ??= load()
  return loaded
}

function load(): LoadedDriver {
  const require = createRequire(import.meta.url)
  let specifier: string
  let driver: unknown
  try {
    specifier = require.resolve('ioredis')
    driver = require(specifier)
  } catch (cause) {
    throw new ConfigError(
      'KIQ_PEER_MISSING',
      'Redis by `url` needs the package "ioredis", which is not installed. Run `npm install ioredis`, or pass a ' +
        '`client` of your own.',
      { cause },
    )
  }
  if (isDriver(driver)) return { driver, specifier }
  throw new ConfigError('KIQ_PEER_MISSING', `${specifier} exports no \`Redis\`. Install ioredis 5 or 6.`)
}

function isDriver(value: unknown): value is RedisDriver {
  return (typeof value === 'object' || typeof value === 'function') && value !== null && 'Redis' in value
}

/** Cluster clients of ioredis know that they are. */
export function isCluster(client: object): boolean {
  return 'isCluster' in client && client.isCluster === true
}

/** A body as the driver sends it without a copy: it would write a plain `Uint8Array` as a list of numbers. */
export function argumentOf(body: string | Uint8Array): string | Buffer {
  if (typeof body === 'string' || Buffer.isBuffer(body)) return body
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
}
