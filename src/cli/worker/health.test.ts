import { describe, expect, it } from 'vitest'

import { judgeChild } from './health.ts'
import type { ChildSnapshot } from './health.ts'
import { answer } from './health-server.ts'

const HEALTHY: ChildSnapshot = {
  slot: 0,
  state: 'ready',
  pid: 7,
  workerId: 'host:7:ab',
  silentForMs: 812.4,
  heartbeat: { running: 3, processed: 40, lastFetchAt: 0, receiving: 'waiting', lagMs: 2 },
}

describe('judgeChild', () => {
  it('finds an idle worker ready, however long ago it fetched something', () => {
    expect(judgeChild(HEALTHY)).toEqual({
      slot: 0,
      state: 'ready',
      pid: 7,
      workerId: 'host:7:ab',
      isReady: true,
      reason: null,
      heartbeatAgeMs: 812,
      running: 3,
      processed: 40,
      receiving: 'waiting',
      lastFetchAt: '1970-01-01T00:00:00.000Z',
      lagMs: 2,
    })
  })

  it.each([
    [{ silentForMs: 5_001 }, 'Its event loop has been blocked for 5 s.'],
    [{ state: 'starting', silentForMs: undefined, heartbeat: undefined }, 'It is starting.'],
    [{ state: 'waiting', pid: undefined }, 'It is waiting.'],
    [{ heartbeat: { ...HEALTHY.heartbeat, receiving: 'failing' } }, 'The transport does not answer.'],
    [{ heartbeat: { ...HEALTHY.heartbeat, receiving: 'stopped' } }, 'It takes nothing more.'],
    [{ heartbeat: { ...HEALTHY.heartbeat, receiving: 'busy' } }, null],
    [{ heartbeat: undefined }, null],
  ] as readonly (readonly [Partial<ChildSnapshot>, string | null])[])('judges %j', (facts, reason) => {
    expect(judgeChild({ ...HEALTHY, ...facts })).toMatchObject({ isReady: reason === null, reason })
  })
})

describe('answer', () => {
  const ready = judgeChild(HEALTHY)
  const starting = judgeChild({ ...HEALTHY, state: 'starting' })

  it.each([
    ['GET /live', 'starting', [], 200],
    ['GET /ready', 'running', [ready, ready], 200],
    ['HEAD /ready?verbose', 'running', [ready], 200],
    ['GET /ready', 'running', [ready, starting], 503],
    ['GET /ready', 'stopping', [ready], 503],
    ['GET /', 'running', [ready], 404],
    ['POST /live', 'running', [ready], 405],
  ])('%s while %s', (request, state, children, status) => {
    const [method, url] = request.split(' ')

    expect(answer(method, url, { state, children }).status).toBe(status)
  })
})
