import { RedisStreamTransport } from '../../src/adapters/redis/index.ts'
import { describeResultBackend, describeTransport } from '../../src/testing/conformance/index.ts'
import { startRedis } from '../support/redis-server.ts'
import { byUrl, leasedSubject, redisSuite, resultsSubject } from '../support/redis-subjects.ts'

await redisSuite(
  'Redis streams',
  () => startRedis({ appendonly: 'always' }),
  (server) => {
    describeTransport({
      ...leasedSubject(RedisStreamTransport, 'RedisStreamTransport', byUrl(server.url)),
      stopEngine: () => server.stop(),
      startEngine: () => server.start(),
    })

    describeResultBackend(resultsSubject('RedisResultBackend', byUrl(server.url)))
  },
)
