import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'

import type { RedisClient } from '../../src/adapters/redis/index.ts'
import { RedisStreamTransport } from '../../src/adapters/redis/index.ts'
import { describeTransport } from '../../src/testing/conformance/index.ts'
import { startRedis } from '../support/redis-server.ts'
import { byClient, leasedSubject, redisSuite, VARIANT } from '../support/redis-subjects.ts'

await redisSuite(
  'Redis streams by a client of the application',
  () => startRedis(),
  ({ port }) => {
    const clients: Readonly<Record<string, () => RedisClient>> = {
      'ioredis 6': () => new Redis({ port, lazyConnect: true }),
      'ioredis 5': () => new Redis5({ port, lazyConnect: true }),
    }
    for (const [driver, makeClient] of Object.entries(clients)) {
      const name = `RedisStreamTransport, ${driver}`
      describeTransport({ ...leasedSubject(RedisStreamTransport, name, byClient(makeClient)), ...VARIANT })
    }
  },
)
