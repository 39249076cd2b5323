import { describe, expect, it } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import { Reclaims } from './reclaims.ts'

function child() {
  const asked: string[] = []
  return { asked, reclaim: (workerId: string) => void asked.push(workerId) }
}

describe('Reclaims', () => {
  it('asks every living child at once', () => {
    const [first, second] = [child(), child()]

    new Reclaims(silentLogger).add('dead', [first, second])

    expect([first.asked, second.asked]).toEqual([['dead'], ['dead']])
  })

  it('asks the next child that becomes ready, until one has done it', () => {
    const reclaims = new Reclaims(silentLogger)
    const [first, second, third] = [child(), child(), child()]
    reclaims.add('dead', [])

    reclaims.onReady(first)
    reclaims.onReclaimed('dead', 0, 'The engine does not answer.')
    reclaims.onReady(second)
    reclaims.onReclaimed('dead', 2, undefined)
    reclaims.onReady(third)

    expect([first.asked, second.asked, third.asked]).toEqual([['dead'], ['dead'], []])
  })

  it('forgets the oldest of very many', () => {
    const reclaims = new Reclaims(silentLogger)
    for (let n = 0; n <= 1_000; n += 1) reclaims.add(`dead-${n}`, [])
    const next = child()

    reclaims.onReady(next)

    expect([next.asked.length, next.asked[0]]).toEqual([1_000, 'dead-1'])
  })
})
