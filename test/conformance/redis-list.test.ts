import { RedisListTransport } from '../../src/adapters/redis/index.ts'
import { describeTransport } from '../../src/testing/conformance/index.ts'
import { startRedis } from '../support/redis-server.ts'
import { byUrl, leasedSubject, redisSuite } from '../support/redis-subjects.ts'

await redisSuite(
  'Redis lists',
  () => startRedis({ appendonly: 'always' }),
  (server) => {
    describeTransport({
      ...leasedSubject(RedisListTransport, 'RedisListTransport', byUrl(server.url)),
      stopEngine: () => server.stop(),
      startEngine: () => server.start(),
    })
  },
)
