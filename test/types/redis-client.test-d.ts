import type { Cluster, Redis } from 'ioredis'
import type { Cluster as Cluster5, Redis as Redis5 } from 'ioredis5'
import { expectTypeOf, it } from 'vitest'

import type { RedisOptions } from '../../src/adapters/redis/index.ts'

type Client = NonNullable<RedisOptions['client']>

it('takes the clients of ioredis 6 and 5', () => {
  expectTypeOf<Redis>().toExtend<Client>()
  expectTypeOf<Cluster>().toExtend<Client>()
  expectTypeOf<Redis5>().toExtend<Client>()
  expectTypeOf<Cluster5>().toExtend<Client>()
})
