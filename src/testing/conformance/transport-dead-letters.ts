import { expect } from 'vitest'

import type { DeadLetter, DeadLetters } from '../../contract/index.ts'
import { textOf } from './bytes.ts'
import type { CaseParts } from './transport.ts'
import type { Opened, TransportRig } from './transport-rig.ts'
import { PATIENCE_MS, expectSameBytes, factsOf, textsOf } from './transport-rig.ts'
import { until } from '../until.ts'

export function registerDeadLetters({ contract, subject, transport: { capabilities } }: CaseParts): void {
  if (!capabilities.deadLetters) return

  contract('has deadLetters, as it claims', async (rig) => {
    expect(lettersOf(rig.main)).toBeDefined()
  })

  contract('keeps what is dead, with the reason', async (rig) => {
    const body = Uint8Array.from([0, 255, 128])
    const [sent] = await rig.send(body)
    await rig.main.transport.settle([{ kind: 'requeue', delivery: await rig.takeOne() }])
    const delivery = await rig.takeOne()
    const before = Date.now()

    await rig.main.transport.settle([{ kind: 'dead', delivery, reason: 'No task "x".', taskName: 'x' }])

    const [letter, ...others] = await listed(rig, 1)
    expect(others).toEqual([])
    expect(letter).toMatchObject({ queue: rig.queue, attempt: 2, reason: 'No task "x".' })
    expect([undefined, 'x', sent?.taskName]).toContain(letter?.taskName)
    expect([undefined, sent?.taskId]).toContain(letter?.taskId)
    expectSameBytes(letter?.body ?? '', body)
    expect(Math.abs((letter?.diedAt ?? 0) - before)).toBeLessThan(2_000)
  })

  contract('lists dead letters newest first', async (rig) => {
    await bury(rig, 'a', 'b', 'c')

    expect((await listed(rig, 3)).map(bodyOf)).toEqual(['c', 'b', 'a'])
  })

  contract('lists dead letters by queue, by ids and up to a limit', async (rig) => {
    await bury(rig, 'a', 'b', 'c')
    const letters = lettersOf(rig.main)
    const [c, , a] = await listed(rig, 3)
    const ids = [a?.id ?? '', c?.id ?? '']

    expect(new Set((await listed(rig, 3)).map((letter) => letter.id)).size).toBe(3)
    expect(await letters.list({ queue: rig.otherQueue })).toEqual([])
    expect((await letters.list({ ids })).map(bodyOf)).toEqual(['c', 'a'])
    expect(await letters.list({ ids: [] })).toEqual([])
    expect((await letters.list({ queue: rig.queue, limit: 2 })).map(bodyOf)).toEqual(['c', 'b'])
    expect((await letters.list({ queue: rig.queue, ids, limit: 1 })).map(bodyOf)).toEqual(['c'])
    expect(await letters.list({ queue: rig.otherQueue, ids })).toEqual([])
  })

  contract('lists and drops dead letters by the id of their task', async (rig) => {
    await bury(rig, 'a', 'b', 'c')
    const letters = lettersOf(rig.main)
    const [c, b] = await listed(rig, 3)
    // A transport may not know the task of a message.
    if (b?.taskId === undefined) return

    expect((await letters.list({ taskId: b.taskId })).map(bodyOf)).toEqual(['b'])
    expect(await letters.list({ taskId: b.taskId, ids: [c?.id ?? ''] })).toEqual([])
    expect(await letters.list({ taskId: 'of nobody' })).toEqual([])
    expect(await letters.drop({ taskId: b.taskId })).toBe(1)
    expect((await listed(rig, 2)).map(bodyOf)).toEqual(['c', 'a'])
  })

  contract('lists all dead letters when there is no filter', async (rig) => {
    await bury(rig, 'a')

    const all = await until(async () => listedHere(rig, await lettersOf(rig.main).list()), { timeoutMs: PATIENCE_MS })

    expect(all.map(bodyOf)).toEqual(['a'])
  })

  contract('retries a dead letter as if sent now', async (rig) => {
    await rig.send('a')
    await rig.main.transport.settle([{ kind: 'requeue', delivery: await rig.takeOne() }])
    await rig.main.transport.settle([{ kind: 'dead', delivery: await rig.takeOne(), reason: 'Given up.' }])
    const [letter] = await listed(rig, 1)

    expect(await lettersOf(rig.main).retry({ ids: [letter?.id ?? ''] })).toBe(1)

    const delivery = await rig.takeOne()
    expect([factsOf(delivery), delivery.queue]).toEqual([['a', 1], rig.queue])
    expect(await lettersOf(rig.main).list({ queue: rig.queue })).toEqual([])
    expect(await rig.ack([delivery])).toEqual(['settled'])
    await rig.expectQuiet()
  })

  contract('wakes a waiting receive on the retry of a dead letter', async (rig) => {
    await bury(rig, 'a')
    await listed(rig, 1)
    const receiving = rig.takeOne()

    await lettersOf(rig.main).retry({ queue: rig.queue })

    expect(factsOf(await receiving)).toEqual(['a', 1])
  })

  contract('retries only the dead letters that the filter names', async (rig) => {
    await bury(rig, 'a', 'b', 'c')
    const [, b] = await listed(rig, 3)

    expect(await lettersOf(rig.main).retry({ queue: rig.otherQueue })).toBe(0)
    expect(await lettersOf(rig.main).retry({ ids: [b?.id ?? ''] })).toBe(1)
    expect(textsOf(await rig.take(1))).toEqual(['b'])
    expect((await listed(rig, 2)).map(bodyOf)).toEqual(['c', 'a'])
    expect(await lettersOf(rig.main).retry({ queue: rig.queue, limit: 1 })).toBe(1)
    expect(await lettersOf(rig.main).list({ queue: rig.queue })).toHaveLength(1)
  })

  contract('can bury a retried message again', async (rig) => {
    await bury(rig, 'a')
    await listed(rig, 1)
    await lettersOf(rig.main).retry({ queue: rig.queue })

    await rig.main.transport.settle([{ kind: 'dead', delivery: await rig.takeOne(), reason: 'Again.' }])

    expect(await listed(rig, 1)).toMatchObject([{ reason: 'Again.', attempt: 1 }])
  })

  contract('drops dead letters for good', async (rig) => {
    await bury(rig, 'a', 'b', 'c')
    const [, b] = await listed(rig, 3)

    expect(await lettersOf(rig.main).drop({ ids: [b?.id ?? ''] })).toBe(1)
    expect((await listed(rig, 2)).map(bodyOf)).toEqual(['c', 'a'])
    expect(await lettersOf(rig.main).drop({ queue: rig.queue, limit: 1 })).toBe(1)
    expect(await lettersOf(rig.main).drop({ queue: rig.queue })).toBe(1)
    expect(await lettersOf(rig.main).drop({ queue: rig.queue })).toBe(0)
    await rig.expectQuiet()
  })

  if (subject.peer === undefined) return

  contract('shows and retries dead letters from a peer', async (rig) => {
    await bury(rig, 'a')
    const operator = await rig.peer('client')

    expect((await listed(rig, 1, operator)).map(bodyOf)).toEqual(['a'])
    expect(await lettersOf(operator).retry({ queue: rig.queue })).toBe(1)
    expect(factsOf(await rig.takeOne())).toEqual(['a', 1])
  })
}

function lettersOf({ transport }: Opened): DeadLetters {
  return transport.deadLetters ?? expect.fail('`capabilities.deadLetters` is true, but `deadLetters` is missing')
}

function bodyOf(letter: DeadLetter): string {
  return textOf(letter.body)
}

/** Sends the bodies and gives each up by a settlement of its own. */
async function bury(rig: TransportRig, ...bodies: readonly string[]): Promise<void> {
  await rig.send(...bodies)
  for (const delivery of await rig.take(bodies.length)) {
    await rig.main.transport.settle([{ kind: 'dead', delivery, reason: 'Given up.' }])
  }
}

/** The dead letters of the case's queue, once there are so many: engines may show them a moment later. */
async function listed(rig: TransportRig, count: number, from = rig.main): Promise<readonly DeadLetter[]> {
  let letters: readonly DeadLetter[] = []
  await until(
    async () => {
      letters = await lettersOf(from).list({ queue: rig.queue })
      return letters.length >= count
    },
    { timeoutMs: PATIENCE_MS },
  )
  expect(letters).toHaveLength(count)
  return letters
}

/** Letters of this case among all; `undefined` = none yet. */
function listedHere(rig: TransportRig, letters: readonly DeadLetter[]): readonly DeadLetter[] | undefined {
  const here = letters.filter((letter) => letter.queue === rig.queue)
  return here.length > 0 ? here : undefined
}
