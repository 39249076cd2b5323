import { expect } from 'vitest'

import type { CancelOutcome, QueueDepth } from '../../contract/index.ts'
import { until } from '../until.ts'
import type { CaseParts } from './transport.ts'
import type { Opened, TransportRig } from './transport-rig.ts'
import { PATIENCE_MS, textsOf } from './transport-rig.ts'

/** Cases of cancelling tasks and of looking at queues. */
export function registerManagement(parts: CaseParts): void {
  const { cancels, inspects } = parts.transport.capabilities
  if (cancels) registerCancelling(parts)
  if (inspects) registerInspecting(parts)
}

function registerCancelling({ contract, subject, transport: { capabilities } }: CaseParts): void {
  contract('cancels a queued task: it is removed', async (rig) => {
    const [, second] = await rig.send('a', 'b', 'c')

    expect(await cancel(rig.main, second?.taskId)).toBe('removed')

    expect(textsOf(await rig.take(2))).toEqual(['a', 'c'])
    await rig.expectQuiet()
  })

  contract('cancels every queued message of a task', async (rig) => {
    const taskId = crypto.randomUUID()
    const messages = ['a', 'b', 'c'].map((body) => rig.message(body, body === 'b' ? {} : { taskId }))
    await rig.main.transport.send(messages)

    expect(await cancel(rig.main, taskId)).toBe('removed')

    expect(textsOf(await rig.take(1))).toEqual(['b'])
    await rig.expectQuiet()
  })

  if (capabilities.delays) {
    contract('cancels a delayed task: it is removed', async (rig) => {
      const message = rig.message('later', { deliverAt: Date.now() + 300 })
      await rig.main.transport.send([message])

      expect(await cancel(rig.main, message.taskId)).toBe('removed')

      await rig.expectQuiet({ withinMs: 800 })
    })
  }

  contract('asks for the end of a running task', async (rig) => {
    const [message] = await rig.send('a')
    const delivery = await rig.takeOne()

    expect(await cancel(rig.main, message?.taskId)).toBe('requested')

    await until(() => rig.main.cancelled.includes(message?.taskId ?? ''), { timeoutMs: PATIENCE_MS })
    expect(await rig.ack([delivery])).toEqual(['settled'])
  })

  contract('does not know a task that was never sent', async (rig) => {
    expect(await cancel(rig.main, 'never-sent')).toBe('unknown')
  })

  contract('does not know a task that has ended', async (rig) => {
    const [message] = await rig.send('a')
    await rig.ack([await rig.takeOne()])

    expect(await cancel(rig.main, message?.taskId)).toBe('unknown')
    expect(rig.main.cancelled).toEqual([])
  })

  contract('cancels a task that was requeued', async (rig) => {
    const [message] = await rig.send('a')
    await rig.main.transport.settle([{ kind: 'requeue', delivery: await rig.takeOne() }])

    expect(await cancel(rig.main, message?.taskId)).toBe('removed')
    await rig.expectQuiet()
  })

  if (subject.peer === undefined) return

  contract('cancels a queued task from a peer', async (rig) => {
    const operator = await rig.peer('client')
    const [message] = await rig.send('a')

    expect(await cancel(operator, message?.taskId)).toBe('removed')
    await rig.expectQuiet()
  })

  contract('asks for the end of a running task from a peer', async (rig) => {
    const operator = await rig.peer('client')
    const [message] = await rig.send('a')
    await rig.takeOne()

    expect(await cancel(operator, message?.taskId)).toBe('requested')

    await until(() => rig.main.cancelled.includes(message?.taskId ?? ''), { timeoutMs: PATIENCE_MS })
  })
}

function registerInspecting({ contract, transport }: CaseParts): void {
  const { delays } = transport.capabilities

  contract('counts ready, delayed, running and dead messages', async (rig) => {
    const { transport } = rig.main
    await rig.send('dead', 'running', 'running too', 'ready', 'ready too', 'ready as well')
    const [dead] = await rig.take(3)
    if (dead) await transport.settle([{ kind: 'dead', delivery: dead, reason: 'Given up.' }])
    if (delays) await transport.send([rig.message('later', { deliverAt: Date.now() + 60_000 })])
    await transport.send([rig.message('elsewhere', { queue: rig.otherQueue })])

    await expectDepth(rig, { queue: rig.queue, ready: 3, delayed: delays ? 1 : 0, running: 2, dead: 1 })
    await expectDepth(rig, { queue: rig.otherQueue, ready: 1, delayed: 0, running: 0, dead: 0 })
  })

  contract('counts nothing where everything is done', async (rig) => {
    await rig.send('a', 'b')
    await rig.ack(await rig.take(2))

    const empty = { queue: rig.queue, ready: 0, delayed: 0, running: 0, dead: 0 }
    await until(async () => isDepth((await depthOf(rig, rig.queue)) ?? empty, empty), { timeoutMs: PATIENCE_MS })
  })

  if (!delays) return

  contract('counts a delayed message as ready when its time has come', async (rig) => {
    await rig.main.transport.send([rig.message('later', { deliverAt: Date.now() + 200 })])

    await expectDepth(rig, { queue: rig.queue, ready: 1, delayed: 0, running: 0, dead: 0 })
  })
}

async function cancel({ transport }: Opened, taskId: string | undefined): Promise<CancelOutcome> {
  if (transport.cancel === undefined) return expect.fail('`capabilities.cancels` is true, but `cancel` is missing')
  return await transport.cancel(taskId ?? expect.fail('no message was sent'))
}

async function depthOf({ main: { transport } }: TransportRig, queue: string): Promise<QueueDepth | undefined> {
  if (transport.inspect === undefined) return expect.fail('`capabilities.inspects` is true, but `inspect` is missing')
  const depths = (await transport.inspect()).filter((depth) => depth.queue === queue)
  expect(depths.length, 'entries of one queue').toBeLessThanOrEqual(1)
  return depths[0]
}

/** Engines may count a moment later. */
async function expectDepth(rig: TransportRig, expected: QueueDepth): Promise<void> {
  let depth: QueueDepth | undefined
  const reached = until(async () => isDepth((depth = await depthOf(rig, expected.queue)), expected), {
    timeoutMs: PATIENCE_MS,
  })
  await reached.catch(() => undefined)
  expect(depth).toMatchObject(expected)
}

function isDepth(depth: QueueDepth | undefined, { ready, delayed, running, dead }: QueueDepth): boolean {
  return depth?.ready === ready && depth.delayed === delayed && depth.running === running && depth.dead === dead
}
