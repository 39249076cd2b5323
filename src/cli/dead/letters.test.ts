import { describe, expect, it } from 'vitest'

import type { DeadLetter } from '../../contract/index.ts'
import { chosenLetters, formatLetters, letterToJson } from './letters.ts'

const LETTER: DeadLetter = {
  id: '7',
  queue: 'mail',
  taskId: undefined,
  taskName: undefined,
  body: '{}',
  attempt: 5,
  reason: 'It was delivered 5 times\nwithout an outcome.',
  diedAt: 1_000,
}

describe('chosenLetters', () => {
  it('wants to be told which', () => {
    expect(() => chosenLetters('drop', { limit: 5 })).toThrow('`kiq dead drop` was not told which dead letters.')
  })

  it.each([
    [{ all: true }, {}],
    [{ id: ['1', '2'] }, { ids: ['1', '2'] }],
    [
      { queue: 'mail', limit: 3 },
      { queue: 'mail', limit: 3 },
    ],
  ] as const)('reads %j', (options, filter) => {
    expect(chosenLetters('retry', options)).toEqual(filter)
  })
})

describe('formatLetters', () => {
  it('shows one line per letter, cut to the terminal', () => {
    expect(formatLetters([LETTER], { now: 61_000, width: 50 })).toBe(
      'ID  TASK  QUEUE  ATTEMPTS  AGE  REASON\n7   -     mail   5         1m   It was delivered …\n',
    )
  })

  it('says when there is none', () => {
    expect(formatLetters([], { now: 0 })).toBe('No dead letters.\n')
  })
})

describe('letterToJson', () => {
  it('shows text as text and other bytes as Base64', () => {
    expect(letterToJson({ ...LETTER, body: new TextEncoder().encode('{"a":1}') })).toMatchObject({
      taskName: null,
      diedAt: '1970-01-01T00:00:01.000Z',
      body: '{"a":1}',
    })
    expect(letterToJson({ ...LETTER, body: new Uint8Array([255, 0]) })).toMatchObject({ bodyBase64: '/wA=' })
  })
})
