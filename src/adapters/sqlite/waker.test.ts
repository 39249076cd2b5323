import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { describe, expect, it, onTestFinished } from 'vitest'

import { until } from '../../testing/until.ts'
import { Waker } from './waker.ts'

function setup(logPath = join(tmpdir(), 'kiq-no-such-log')): {
  waker: Waker
  state: { version: number; reads: number }
} {
  const state = { version: 1, reads: 0 }
  const version = (): number => {
    state.reads += 1
    return state.version
  }
  const waker = new Waker({ logPath, version })
  onTestFinished(() => waker.close())
  return { waker, state }
}

describe('Waker', () => {
  it('tells of a change that nothing reported, within some milliseconds', async () => {
    const { waker, state } = setup()
    let told = 0
    waker.changes()
    waker.listen(() => (told += 1))
    await delay(100)
    expect(told).toBe(0)

    state.version += 1

    await until(() => told === 1, { timeoutMs: 500, everyMs: 1 })
  })

  it('tells everybody of a change that one of them found', () => {
    const { waker, state } = setup()
    waker.changes()
    const told: string[] = []
    waker.listen(() => told.push('a'))
    waker.listen(() => told.push('b'))

    state.version += 1
    waker.changes()

    expect(told).toEqual(['a', 'b'])
  })

  it('counts changes by others and by this connection', () => {
    const { waker, state } = setup()
    const first = waker.changes()

    expect(waker.changes()).toBe(first)
    state.version += 1
    expect(waker.changes()).toBe(first + 1)
    waker.wrote()
    expect(waker.changes()).toBe(first + 2)
  })

  it('does nothing while nobody listens', async () => {
    const { waker, state } = setup()
    waker.listen(() => undefined)()
    await delay(60)
    const { reads } = state
    await delay(100)

    expect(state.reads).toBe(reads)
  })

  it('looks seldom when nothing changes', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kiq-waker-'))
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
    const { waker, state } = setup(directory)
    waker.listen(() => undefined)
    await delay(100)
    const { reads } = state
    await delay(400)

    expect(state.reads - reads).toBeLessThan(25)
  })

  it('takes a failing look for no change', () => {
    let fails = false
    const waker = new Waker({
      logPath: '/nowhere',
      version: () => {
        if (fails) throw new Error('locked')
        return 1
      },
    })
    const before = waker.changes()
    fails = true

    expect(waker.changes()).toBe(before)
  })
})
