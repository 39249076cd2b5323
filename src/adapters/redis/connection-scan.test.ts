import { EventEmitter } from 'node:events'

import { describe, expect, it } from 'vitest'

import type { RedisArgument, RedisClient } from './client.ts'
import { RedisConnection } from './connection.ts'

type Reply = readonly [string, readonly string[]]

/** Answers each SCAN with the reply for its cursor. */
class FakeClient extends EventEmitter {
  readonly status = 'ready'
  readonly options = {}
  readonly asked: (readonly RedisArgument[])[] = []
  readonly #replies: Readonly<Record<string, Reply | Error>>

  constructor(replies: Readonly<Record<string, Reply | Error>>) {
    super()
    this.#replies = replies
  }

  async call(...command: readonly RedisArgument[]): Promise<unknown> {
    this.asked.push(command)
    const reply = this.#replies[String(command[1])]
    if (reply instanceof Error) throw reply
    return reply
  }
}

function connectionOf(client: object): RedisConnection {
  return new RedisConnection({
    makeClient: () => client as RedisClient,
    given: client as RedisClient,
    shown: 'fake',
    thread: undefined,
    connectTimeoutMs: 100,
    onClosed: () => undefined,
  })
}

describe('RedisConnection.scan', () => {
  it('goes on until the cursor is 0 again, and tells each key once', async () => {
    const client = new FakeClient({ 0: ['7', ['a', 'b']], 7: ['9', []], 9: ['0', ['b', 'c', 'a']] })

    expect(await connectionOf(client).scan('*')).toEqual(['a', 'b', 'c'])
    expect(client.asked).toEqual(['0', '7', '9'].map((cursor) => ['SCAN', cursor, 'MATCH', '*', 'COUNT', 1_000]))
  })

  it('asks every master of a cluster', async () => {
    const masters = [new FakeClient({ 0: ['0', ['a', 'b']] }), new FakeClient({ 0: ['0', ['b', 'c']] })]
    const cluster = Object.assign(new FakeClient({}), {
      isCluster: true,
      nodes: (role: string) => (role === 'master' ? masters : []),
    })

    expect(await connectionOf(cluster).scan('x:*')).toEqual(['a', 'b', 'c'])
  })

  it('fails when one of them does', async () => {
    const masters = [new FakeClient({ 0: ['0', ['a']] }), new FakeClient({ 0: new Error('Connection is closed.') })]
    const cluster = Object.assign(new FakeClient({}), { isCluster: true, nodes: () => masters })

    await expect(connectionOf(cluster).scan('*')).rejects.toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })
  })
})
