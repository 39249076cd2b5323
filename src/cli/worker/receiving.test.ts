import { describe, expect, it } from 'vitest'

import { MemoryTransport } from '../../adapters/memory/transport.ts'
import { MemoryResultBackend } from '../../adapters/memory/result-backend.ts'
import type { Delivery } from '../../contract/index.ts'
import { observeReceiving } from './receiving.ts'

function setup() {
  const transport = new MemoryTransport({ results: new MemoryResultBackend({ maxStoredResults: 1 }) })
  const calls: { resolve: (deliveries: readonly Delivery[]) => void; reject: (error: Error) => void }[] = []
  transport.receive = () => new Promise((resolve, reject) => calls.push({ resolve, reject }))
  const clock = { now: 0 }
  const receiving = observeReceiving(transport, () => clock.now)
  const stop = new AbortController()
  const receive = () => transport.receive({ queues: ['q'], max: 1, signal: stop.signal })
  return { receiving, receive, calls, clock, stop }
}

describe('observeReceiving', () => {
  it('tells waiting from busy', async () => {
    const { receiving, receive, calls } = setup()
    expect(receiving()).toBe('busy')

    const call = receive()
    expect(receiving()).toBe('waiting')

    calls[0]?.resolve([])
    await call
    expect(receiving()).toBe('busy')
  })

  it('fails until a call answers', async () => {
    const { receiving, receive, calls } = setup()
    const first = receive()
    calls[0]?.reject(new Error('down'))
    await expect(first).rejects.toThrow('down')
    expect(receiving()).toBe('failing')

    const second = receive()
    expect(receiving()).toBe('failing')
    calls[1]?.resolve([])
    await second
    expect(receiving()).toBe('busy')
  })

  it('believes that the transport is back when a call has waited for 5 s', async () => {
    const { receiving, receive, calls, clock } = setup()
    const first = receive()
    calls[0]?.reject(new Error('down'))
    await expect(first).rejects.toThrow('down')

    void receive()
    clock.now += 4_999
    expect(receiving()).toBe('failing')
    clock.now += 1
    expect(receiving()).toBe('waiting')
  })

  it('is stopped after the end of its signal', async () => {
    const { receiving, receive, calls, stop } = setup()
    const call = receive()
    stop.abort()
    calls[0]?.resolve([])
    await call

    expect(receiving()).toBe('stopped')
  })
})
