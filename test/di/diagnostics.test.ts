import { subscribe, unsubscribe } from 'node:diagnostics_channel'

import { describe, expect, it, onTestFinished } from 'vitest'

import type { BuildEvent, DisposeEvent } from '../../src/di/index.ts'
import { bind, createContainer, token } from '../../src/di/index.ts'
import { silentLogger } from '../../src/index.ts'
import { thrownBy } from './kit.ts'

const Pool = token<string>('Pool')
const Users = token<string>('Users')
const Value = token<string>('Value')

/** Everything that is published on a channel until the end of the test. */
function listen<T>(name: 'kiq:di:build' | 'kiq:di:dispose'): readonly T[] {
  const events: T[] = []
  const listener = (event: unknown): void => void events.push(event as T)
  subscribe(name, listener)
  onTestFinished(() => void unsubscribe(name, listener))
  return events
}

describe('the channel kiq:di:build', () => {
  it('tells of each value that was made, with its lifetime and how long it took', async () => {
    const events = listen<BuildEvent>('kiq:di:build')
    const container = createContainer({
      providers: [
        bind(Value, { value: 'not made' }),
        bind(Pool, { deps: { value: Value }, create: async () => 'pool' }),
        bind(Users, {
          scope: 'scoped',
          deps: { pool: Pool },
          *use() {
            yield 'users'
          },
        }),
      ],
    })

    await container.scope().get(Users)
    await container.scope().get(Users)

    expect(events.map(({ key, scope }) => `${scope} ${key}`)).toEqual([
      'singleton Pool',
      'scoped Users',
      'scoped Users',
    ])
    expect(events.every(({ durationMs }) => durationMs >= 0)).toBe(true)
    expect(events.some((event) => 'error' in event)).toBe(false)
  })

  it.each(['at once', 'later'])('tells of what could not be made, when it fails %s', async (when) => {
    const events = listen<BuildEvent>('kiq:di:build')
    const error = new Error('down')
    const container = createContainer({
      providers: [
        bind(Pool, {
          create: () => {
            if (when === 'later') return Promise.reject(error)
            throw error
          },
        }),
        bind(Users, { deps: { pool: Pool }, create: () => 'users' }),
      ],
    })

    await thrownBy(() => container.get(Users))

    expect(events).toEqual([{ key: 'Pool', scope: 'singleton', durationMs: expect.any(Number), error }])
  })
})

describe('the channel kiq:di:dispose', () => {
  it('tells of each value that was closed, and of what failed at that', async () => {
    const events = listen<DisposeEvent>('kiq:di:dispose')
    const container = createContainer({
      logger: silentLogger,
      providers: [
        bind(Pool, {
          create: () => 'pool',
          dispose: async () => {
            throw new Error('stuck')
          },
        }),
        bind(Users, {
          deps: { pool: Pool },
          *use() {
            yield 'users'
          },
        }),
        bind(Value, { create: () => 'nothing to close' }),
      ],
    })
    await container.get(Users)
    await container.get(Value)

    const thrown = await thrownBy(() => container.close())

    expect(events).toEqual([
      { key: 'Users', durationMs: expect.any(Number) },
      { key: 'Pool', durationMs: expect.any(Number), error: thrown },
    ])
  })
})
