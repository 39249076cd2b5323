import { RedisListTransport, RedisStreamTransport } from '../../src/adapters/redis/index.ts'
import { describeResultBackend, describeTransport } from '../../src/testing/conformance/index.ts'
import { startRedisSentinel } from '../support/redis-server.ts'
import { byUrl, leasedSubject, redisSuite, resultsSubject, VARIANT } from '../support/redis-subjects.ts'

await redisSuite(
  'Redis behind sentinels',
  () => startRedisSentinel(),
  ({ url }) => {
    const place = byUrl(url)
    describeTransport({ ...leasedSubject(RedisStreamTransport, 'RedisStreamTransport, sentinel', place), ...VARIANT })
    describeTransport({ ...leasedSubject(RedisListTransport, 'RedisListTransport, sentinel', place), ...VARIANT })
    describeResultBackend(resultsSubject('RedisResultBackend, sentinel', place))
  },
)
