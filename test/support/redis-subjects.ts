import { randomUUID } from 'node:crypto'

import { afterAll, afterEach } from 'vitest'

import type { RedisClient, RedisOptions } from '../../src/adapters/redis/index.ts'
import {
  RedisListTransport,
  RedisPubSubTransport,
  RedisResultBackend,
  RedisStreamTransport,
} from '../../src/adapters/redis/index.ts'
import type { Transport } from '../../src/contract/index.ts'
import type { ResultBackendSubject, TransportSubject } from '../../src/testing/conformance/index.ts'
import { engineSuite } from './engine-suite.ts'
import { redisEngine } from './redis-server.ts'

/** Short, so that cases can wait for its end. */
const LEASE_MS = 1_000

/** How a subject finds its Redis: options for the first, and for a peer, which has connections of its own. */
export type RedisPlace = (role: 'first' | 'peer') => RedisOptions

type Leased = typeof RedisStreamTransport | typeof RedisListTransport

/** Starts what a suite needs, and ends it after the file; without Redis the suite is left out or fails. */
export async function redisSuite<T extends { close(): Promise<void> }>(
  name: string,
  start: () => Promise<T>,
  tests: (engine: T) => void,
): Promise<void> {
  // Subjects are made when the cases are registered, and need the address then.
  const engine = redisEngine.missing === undefined ? await start() : undefined
  if (engine) afterAll(() => engine.close())
  engineSuite(name, [redisEngine], () => {
    if (engine) tests(engine)
  })
}

/** By URL. Objects that name the same Redis share their connections, so a peer says something else. */
export function byUrl(url: string): RedisPlace {
  return (role) => ({ url, ...(role === 'peer' && { clientOptions: { connectionName: randomUUID() } }) })
}

/** By a client of the caller's own, which ends after the case. */
export function byClient(makeClient: () => RedisClient): RedisPlace {
  const clients: RedisClient[] = []
  afterEach(() => {
    for (const client of clients.splice(0)) client.disconnect()
  })
  return () => {
    const client = makeClient()
    clients.push(client)
    return { client }
  }
}

/** For further ways to reach Redis, which shall show no difference: shorter waits for what should not come. */
export const VARIANT = { quietMs: 100 } as const

/** A transport with everything that streams and lists can show. */
export function leasedSubject(Transport: Leased, name: string, place: RedisPlace): TransportSubject {
  const places = new WeakMap<Transport, RedisOptions>()
  const make = (role: 'first' | 'peer'): InstanceType<Leased> => {
    const options = place(role)
    const transport = new Transport({ ...options, lease: LEASE_MS })
    places.set(transport, options)
    return transport
  }
  return {
    name,
    create: () => make('first'),
    peer: () => make('peer'),
    crash: (transport) => (transport as InstanceType<Leased>).abandon(),
    leaseMs: LEASE_MS,
    results: (transport) => new RedisResultBackend(places.get(transport) ?? place('first')),
  }
}

export function pubSubSubject(name: string, place: RedisPlace): TransportSubject {
  return {
    name,
    create: () => new RedisPubSubTransport(place('first')),
    peer: () => new RedisPubSubTransport(place('peer')),
    beforeFirstReceive: 'lose',
  }
}

export function resultsSubject(name: string, place: RedisPlace): ResultBackendSubject {
  return {
    name,
    create: () => new RedisResultBackend({ ...place('first'), prefix: randomUUID() }),
    peer: (first) => {
      const prefix = (first as RedisResultBackend).place.keyPrefix.slice(0, -1)
      return new RedisResultBackend({ ...place('peer'), prefix })
    },
  }
}
