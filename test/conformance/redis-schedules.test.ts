import { randomUUID } from 'node:crypto'

import { afterAll, beforeAll } from 'vitest'

import type { WritableScheduleSource } from '../../src/contract/index.ts'
import { ListRedisScheduleSource } from '../../src/adapters/redis/list-schedule-source.ts'
import { RedisScheduleSource } from '../../src/adapters/redis/schedule-source.ts'
import type { RedisScheduleOptions } from '../../src/adapters/redis/schedule-store.ts'
import { MsgPackSerializer } from '../../src/serializers/index.ts'
import { describeScheduleSource } from '../../src/testing/conformance/index.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { redisEngine, startRedis, startRedisCluster } from '../support/redis-server.ts'

/** A source is made before the server starts, to see what it can do. */
const NOWHERE = 'redis://127.0.0.1:1'

const KINDS = [RedisScheduleSource, ListRedisScheduleSource]
const FORMATS: readonly NonNullable<RedisScheduleOptions['serializer']>[] = ['json', 'pickle', new MsgPackSerializer()]

engineSuite('schedules in Redis', [redisEngine], () => {
  let server: Awaited<ReturnType<typeof startRedis>> | undefined
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server?.close())

  for (const Source of KINDS) {
    for (const serializer of FORMATS) {
      describeSource(`${Source.name}, ${typeof serializer === 'string' ? serializer : serializer.name}`, {
        make: (more) => new Source({ url: server?.url ?? NOWHERE, serializer, ...more }),
      })
    }
  }

  describeSource('ListRedisScheduleSource, one schedule per command, glob characters in the prefix', {
    make: (more) => new ListRedisScheduleSource({ url: server?.url ?? NOWHERE, bufferSize: 1, ...more }),
    name: () => `a:b[c]*?\\${randomUUID()}`,
  })
})

engineSuite('schedules in a Redis cluster', [redisEngine], () => {
  let cluster: Awaited<ReturnType<typeof startRedisCluster>> | undefined
  beforeAll(async () => {
    cluster = await startRedisCluster()
  })
  afterAll(() => cluster?.close())

  for (const Source of KINDS) {
    describeSource(Source.name, { make: (more) => new Source({ url: cluster?.url ?? NOWHERE, ...more }) })
  }

  describeSource('ListRedisScheduleSource, in one slot', {
    make: (more) => new ListRedisScheduleSource({ url: cluster?.url ?? NOWHERE, ...more }),
    name: () => `{${randomUUID()}}`,
  })
})

interface SourceParts {
  readonly make: (options: RedisScheduleOptions) => WritableScheduleSource & { readonly prefix: string }
  readonly name?: () => string
}

function describeSource(title: string, { make, name = randomUUID }: SourceParts): void {
  describeScheduleSource({
    name: title,
    create: () => make({ prefix: name() }),
    // Other options, and so other connections.
    peer: (first) =>
      make({
        prefix: (first as RedisScheduleSource).prefix,
        clientOptions: { connectionName: randomUUID() },
      }),
  })
}
