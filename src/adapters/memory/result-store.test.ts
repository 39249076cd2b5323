import { describe, expect, it } from 'vitest'

import { ResultStore } from './result-store.ts'

describe('ResultStore', () => {
  it('lets go of expired records that nobody reads, as others are put', () => {
    const store = new ResultStore(Infinity)
    for (let now = 0; now < 10_000; now += 1) store.put({ taskId: `${now}`, body: 'body', ttlMs: 10 }, now)

    // Read as of long ago, where nothing has expired: what is missing was let go of.
    const left = Array.from({ length: 10_000 }, (_, index) => store.get(`${index}`, 0)).filter((body) => body)

    expect(left.length).toBeLessThan(250)
  })
})
