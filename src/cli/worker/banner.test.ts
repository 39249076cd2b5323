import { describe, expect, it } from 'vitest'

import { bannerLines } from './banner.ts'

const FACTS = {
  broker: 'SqliteBroker',
  transport: 'sqlite',
  queues: ['taskiq', 'mail'],
  tasks: ['a', 'b', 'c', 'd', 'e', 'f', 'g'],
  processes: 2,
  concurrency: 100,
}

describe('bannerLines', () => {
  it('is text for people', () => {
    expect(bannerLines(FACTS, 'pretty').map(({ message }) => message)).toEqual([
      'broker   SqliteBroker on sqlite',
      'queues   taskiq, mail',
      'tasks    7: a, b, c, d, e, … 2 more',
      'running  2 process(es) × 100 task(s) at once',
    ])
  })

  it('is fields for machines', () => {
    expect(bannerLines({ ...FACTS, tasks: [] }, 'json')).toEqual([
      {
        fields: {
          broker: 'SqliteBroker',
          transport: 'sqlite',
          queues: ['taskiq', 'mail'],
          taskCount: 0,
          tasks: [],
          processes: 2,
          concurrency: 100,
        },
        message: 'The worker takes tasks.',
      },
    ])
  })
})
