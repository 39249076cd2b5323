import { expect } from 'vitest'

import type { Body, ResultBackend, ResultRecord, Settlement } from '../../contract/index.ts'
import { until } from '../until.ts'
import { textOf } from './bytes.ts'
import type { CaseParts } from './transport.ts'
import { PATIENCE_MS, expectSameBytes, factsOf } from './transport-rig.ts'

/** Cases of transports that store results in the step that settles. */
export async function registerResults({ contract, subject, transport }: CaseParts): Promise<void> {
  if (transport.joins) {
    contract('joins no backend that it does not know', async (rig) => {
      expect(rig.main.transport.joins?.(foreignBackend())).toBe(false)
    })
  }

  if (subject.results === undefined) return

  contract('joins its own backend', async (rig) => {
    expect(rig.main.transport.joins?.(await rig.results())).toBe(true)
  })

  contract('stores the result with the ack', async (rig) => {
    const results = await rig.results()
    const body = Uint8Array.from({ length: 256 }, (_, index) => index)
    const [message] = await rig.send('a')
    const result = { taskId: message?.taskId ?? '', body }

    expect(await rig.main.transport.settle([{ kind: 'ack', delivery: await rig.takeOne(), result }])).toEqual([
      'settled',
    ])

    expectSameBytes((await read(results, result.taskId)) ?? 'missing', body)
    await rig.expectQuiet()
  })

  contract('stores the results of a thousand acks in one call', async (rig) => {
    const results = await rig.results()
    const messages = await rig.send(...Array.from({ length: 1_000 }, (_, index) => `${index}`))
    const deliveries = await rig.take(1_000)

    await rig.main.transport.settle(
      deliveries.map((delivery, index) => {
        return { kind: 'ack', delivery, result: { taskId: messages[index]?.taskId ?? '', body: `result ${index}` } }
      }),
    )

    const last = messages.slice(-50)
    const bodies = await results.get(last.map((message) => message.taskId))
    expect(bodies.map((body) => body !== undefined && textOf(body))).toEqual(
      last.map((_, index) => `result ${950 + index}`),
    )
  })

  contract('stores the result with a replacement', async (rig) => {
    const results = await rig.results()
    const [message] = await rig.send('a')
    const result = { taskId: message?.taskId ?? '', body: 'failed once' }
    const replacement = rig.message('again', { taskId: result.taskId })

    await rig.main.transport.settle([{ kind: 'replace', delivery: await rig.takeOne(), message: replacement, result }])

    expect(await readText(results, result.taskId)).toBe('failed once')
    expect(factsOf(await rig.takeOne())).toEqual(['again', 1])
  })

  contract('stores the result with a dead letter', async (rig) => {
    const results = await rig.results()
    const [message] = await rig.send('a')
    const result = { taskId: message?.taskId ?? '', body: 'rejected' }

    await rig.main.transport.settle([{ kind: 'dead', delivery: await rig.takeOne(), reason: 'Given up.', result }])

    expect(await readText(results, result.taskId)).toBe('rejected')
    await rig.expectQuiet()
  })

  for (const kind of ['ack', 'replace', 'dead'] as const) {
    contract(`stores no result for ${kind} of a stale delivery`, async (rig) => {
      const results = await rig.results()
      const [message] = await rig.send('a')
      const delivery = await rig.takeOne()
      await rig.ack([delivery])
      const result: ResultRecord = { taskId: message?.taskId ?? '', body: 'too late' }
      const settlement: Settlement =
        kind === 'replace'
          ? { kind, delivery, result, message: rig.message('too late') }
          : kind === 'dead'
            ? { kind, delivery, result, reason: 'Given up.' }
            : { kind, delivery, result }

      expect(await rig.main.transport.settle([settlement])).toEqual(['stale'])

      expect(await read(results, result.taskId)).toBeUndefined()
      await rig.expectQuiet()
    })
  }

  contract('stores the results of the settled ones when others of the call are stale', async (rig) => {
    const results = await rig.results()
    const messages = await rig.send('stale', 'fresh')
    const [stale, fresh] = await rig.take(2)
    if (stale === undefined || fresh === undefined) return expect.fail('take(2) gave fewer')
    await rig.ack([stale])
    const [staleId = '', freshId = ''] = messages.map((message) => message.taskId)

    await rig.main.transport.settle([
      { kind: 'ack', delivery: stale, result: { taskId: staleId, body: 'too late' } },
      { kind: 'ack', delivery: fresh, result: { taskId: freshId, body: 'in time' } },
    ])

    expect([await readText(results, staleId), await readText(results, freshId)]).toEqual([undefined, 'in time'])
  })

  contract('replaces an earlier result by that of a settlement', async (rig) => {
    const results = await rig.results()
    const [message] = await rig.send('a')
    const taskId = message?.taskId ?? ''
    await results.save([{ taskId, body: 'earlier' }])

    const result = { taskId, body: 'later' }
    await rig.main.transport.settle([{ kind: 'ack', delivery: await rig.takeOne(), result }])

    expect(await readText(results, taskId)).toBe('later')
  })

  const { capabilities } = await subject.results(transport)
  if (capabilities.notifies) registerNotifying(contract)
  registerStaleAfterReclaim({ contract, subject, transport })
}

function registerNotifying(contract: CaseParts['contract']): void {
  contract('tells subscribers of a result that came with a settlement', async (rig) => {
    const results = await rig.results()
    const [message] = await rig.send('a')
    const told: string[] = []
    results.subscribe?.(message?.taskId ?? '', (body) => told.push(textOf(body)))

    const result = { taskId: message?.taskId ?? '', body: 'done' }
    await rig.main.transport.settle([{ kind: 'ack', delivery: await rig.takeOne(), result }])

    await until(() => told.length > 0, { timeoutMs: PATIENCE_MS })
    expect(told).toEqual(['done'])
  })
}

function registerStaleAfterReclaim({ contract, subject, transport }: CaseParts): void {
  if (subject.peer === undefined || transport.reclaim === undefined) return

  contract('stores no result, and sends no replacement, after the lease went to another', async (rig) => {
    const results = await rig.results()
    const other = await rig.peer()
    const [message] = await rig.send('a')
    const delivery = await rig.takeOne()
    await other.transport.reclaim?.(rig.main.workerId)
    const taken = await rig.takeOne({ from: other })
    const result = { taskId: message?.taskId ?? '', body: 'too late' }

    const outcomes = await rig.main.transport.settle([
      { kind: 'replace', delivery, message: rig.message('too late'), result },
    ])

    expect(outcomes).toEqual(['stale'])
    expect(await read(results, result.taskId)).toBeUndefined()
    await rig.expectQuiet()
    expect(await rig.ack([taken], other)).toEqual(['settled'])
  })
}

async function read(results: ResultBackend, taskId: string): Promise<Body | undefined> {
  const [body] = await results.get([taskId])
  return body
}

async function readText(results: ResultBackend, taskId: string): Promise<string | undefined> {
  const body = await read(results, taskId)
  return body === undefined ? undefined : textOf(body)
}

function foreignBackend(): ResultBackend {
  const nothing = async (): Promise<void> => undefined
  return {
    capabilities: { expires: false, notifies: false, progress: false },
    start: nothing,
    stop: nothing,
    save: nothing,
    get: async () => [],
    forget: nothing,
    setProgress: nothing,
    getProgress: nothing as () => Promise<undefined>,
  }
}
