import { describe, expect, it } from 'vitest'

import { fingerprintOf, keyedJobId, readJobRequest } from './job-request.ts'

describe('an asynchronous request', () => {
  it('is completed with what it leaves out', () => {
    expect(readJobRequest({ message: null, webhook: null })).toEqual({
      message: null,
      success_queue: '',
      failure_queue: '',
      meta: {},
      webhook: null,
    })
  })

  it.each([
    [undefined, 'The request is not valid: It is undefined. Use an object'],
    [{}, 'message: It is undefined'],
    [{ message: 1, success_queue: 2 }, 'success_queue: It is 2'],
    [{ message: 1, meta: 'x' }, 'meta: It is "x"'],
    [{ message: 1, webhook: { url: 'http://h/', retries: 2 } }, 'webhook: It is'],
    [{ message: 1, queue: 'x' }, 'queue: It is not known'],
    [{ message: 1, failure_queue: 'q'.repeat(257) }, 'at most 256 characters'],
  ])('is refused with the field that does not fit: %j', (value, text) => {
    expect(() => readJobRequest(value)).toThrow(text)
  })

  it('has the fingerprint of any other that means the same', () => {
    const [one, same, other] = [
      { message: { a: 1, b: [{ c: 2, d: 3 }] } },
      { message: { b: [{ d: 3, c: 2 }], a: 1 } },
      { message: { a: 1, b: [{ c: 2, d: 4 }] } },
    ].map((value) => fingerprintOf('m', readJobRequest(value)))

    expect(same).toBe(one)
    expect(other).not.toBe(one)
    expect(fingerprintOf('n', readJobRequest({ message: 1 }))).not.toBe(
      fingerprintOf('m', readJobRequest({ message: 1 })),
    )
  })

  it('has an id for each key of each caller', () => {
    const id = { app: 'app', model: 'm', caller: undefined, key: 'k' }

    const ids = [id, { ...id, caller: 'c' }, { ...id, key: 'l' }, { ...id, model: 'n' }].map(keyedJobId)

    expect(new Set(ids).size).toBe(4)
    expect(keyedJobId(id)).toBe(ids[0])
    expect(ids[0]).toMatch(/^[0-9a-f]{32}$/)
  })
})
