import { describeTransport } from '../../src/testing/conformance/index.ts'
import { startRedis } from '../support/redis-server.ts'
import { byUrl, pubSubSubject, redisSuite } from '../support/redis-subjects.ts'

await redisSuite(
  'Redis channels',
  () => startRedis(),
  ({ url }) => describeTransport(pubSubSubject('RedisPubSubTransport', byUrl(url))),
)
