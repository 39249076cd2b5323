import { describe, expect, it } from 'vitest'

import { planSuite } from './engine-suite.ts'

const here = { missing: undefined }
const redis = { missing: 'redis-server is not installed (Debian: apt-get install redis-server)' }
const python = { missing: 'python3 is not installed' }

describe('a suite that needs engines', () => {
  it('runs when all are there', () => {
    expect(planSuite('Redis', [here, here], undefined)).toEqual({ kind: 'run' })
    expect(planSuite('Redis', [here], 'all')).toEqual({ kind: 'run' })
  })

  it('becomes one line that says what is missing', () => {
    expect(planSuite('Redis', [here, redis], undefined)).toEqual({
      kind: 'skip',
      line: 'skipped: Redis: redis-server is not installed (Debian: apt-get install redis-server)',
    })
    expect(planSuite('Redis', [redis, python], 'none')).toEqual({
      kind: 'skip',
      line: 'skipped: Redis: redis-server is not installed (Debian: apt-get install redis-server); python3 is not installed',
    })
  })

  it('fails when KIQ_TEST_REQUIRE is all', () => {
    expect(planSuite('Redis', [python], 'all')).toEqual({
      kind: 'fail',
      message: 'python3 is not installed. Install it, or unset KIQ_TEST_REQUIRE to go without these tests.',
    })
  })
})
