import { RedisListTransport, RedisStreamTransport } from '../../src/adapters/redis/index.ts'
import { describeResultBackend, describeTransport } from '../../src/testing/conformance/index.ts'
import { startRedisCluster } from '../support/redis-server.ts'
import { byUrl, leasedSubject, pubSubSubject, redisSuite, resultsSubject, VARIANT } from '../support/redis-subjects.ts'

await redisSuite(
  'A Redis cluster',
  () => startRedisCluster(),
  ({ url }) => {
    // Results lie in other slots than queues: there they are not stored in the step that settles.
    const apart = { ...VARIANT, results: undefined }
    const place = byUrl(url)
    describeTransport({ ...leasedSubject(RedisStreamTransport, 'RedisStreamTransport, cluster', place), ...apart })
    describeTransport({ ...leasedSubject(RedisListTransport, 'RedisListTransport, cluster', place), ...apart })
    describeTransport({ ...pubSubSubject('RedisPubSubTransport, cluster', place), ...VARIANT })
    describeResultBackend(resultsSubject('RedisResultBackend, cluster', place))
  },
)
