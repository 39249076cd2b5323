import { expect } from 'vitest'

import type { Delivery, Settlement } from '../../contract/index.ts'
import type { CaseParts } from './transport.ts'
import type { TransportRig } from './transport-rig.ts'
import { factsOf, textsOf } from './transport-rig.ts'

/** Another settlement of the same delivery, by kind. */
const SETTLEMENTS: Readonly<Record<Settlement['kind'], (delivery: Delivery, rig: TransportRig) => Settlement>> = {
  ack: (delivery) => ({ kind: 'ack', delivery }),
  replace: (delivery, rig) => ({ kind: 'replace', delivery, message: rig.message('replacement') }),
  release: (delivery) => ({ kind: 'release', delivery }),
  requeue: (delivery) => ({ kind: 'requeue', delivery }),
  dead: (delivery) => ({ kind: 'dead', delivery, reason: 'Given up.' }),
}

export function registerSettling({ contract, transport: { capabilities } }: CaseParts): void {
  contract('does not deliver again what was acked', async (rig) => {
    await rig.send('a', 'b')
    const [first] = await rig.take(2)

    expect(await rig.ack(first ? [first] : [])).toEqual(['settled'])

    await rig.expectQuiet()
  })

  contract('delivers a requeued message again with a higher attempt', async (rig) => {
    const { transport } = rig.main
    await rig.send('a')

    expect(await transport.settle([{ kind: 'requeue', delivery: await rig.takeOne() }])).toEqual(['settled'])
    const second = await rig.takeOne()
    await transport.settle([{ kind: 'requeue', delivery: second }])
    const third = await rig.takeOne()

    expect([second, third].map(factsOf)).toEqual([
      ['a', 2],
      ['a', 3],
    ])
    expect(await rig.ack([third])).toEqual(['settled'])
  })

  contract('delivers a released message again with the same attempt', async (rig) => {
    const { transport } = rig.main
    await rig.send('a')

    expect(await transport.settle([{ kind: 'release', delivery: await rig.takeOne() }])).toEqual(['settled'])
    expect(factsOf(await rig.takeOne())).toEqual(['a', 1])
  })

  contract('does not forget earlier attempts on a release', async (rig) => {
    const { transport } = rig.main
    await rig.send('a')
    await transport.settle([{ kind: 'requeue', delivery: await rig.takeOne() }])

    await transport.settle([{ kind: 'release', delivery: await rig.takeOne() }])

    expect(factsOf(await rig.takeOne())).toEqual(['a', 2])
  })

  contract('puts a released message to the front of its queue', async (rig) => {
    await rig.send('a', 'b')

    await rig.main.transport.settle([{ kind: 'release', delivery: await rig.takeOne() }])

    expect(textsOf(await rig.take(2))).toEqual(['a', 'b'])
  })

  contract('wakes a waiting receive on a requeue', async (rig) => {
    await rig.send('a')
    const delivery = await rig.takeOne()
    const receiving = rig.takeOne()

    await rig.main.transport.settle([{ kind: 'requeue', delivery }])

    expect(factsOf(await receiving)).toEqual(['a', 2])
  })

  contract('replaces a message by another, which begins at attempt 1', async (rig) => {
    await rig.send('old')
    const requeued = await rig.takeOne()
    await rig.main.transport.settle([{ kind: 'requeue', delivery: requeued }])
    const delivery = await rig.takeOne()

    const outcomes = await rig.main.transport.settle([{ kind: 'replace', delivery, message: rig.message('new') }])

    expect(outcomes).toEqual(['settled'])
    expect(factsOf(await rig.takeOne())).toEqual(['new', 1])
    await rig.expectQuiet()
  })

  contract('sends a replacement to the queue that it names', async (rig) => {
    await rig.send('old')
    const message = rig.message('new', { queue: rig.otherQueue })

    await rig.main.transport.settle([{ kind: 'replace', delivery: await rig.takeOne(), message }])

    expect(factsOf(await rig.takeOne({ queues: [rig.otherQueue] }))).toEqual(['new', 1])
    await rig.expectQuiet()
  })

  contract('accepts a replacement with the same task id', async (rig) => {
    const [sent] = await rig.send('old')
    const message = rig.message('new', { taskId: sent?.taskId ?? '' })

    await rig.main.transport.settle([{ kind: 'replace', delivery: await rig.takeOne(), message }])

    const delivery = await rig.takeOne()
    expect([factsOf(delivery), await rig.ack([delivery])]).toEqual([['new', 1], ['settled']])
  })

  contract('does not deliver again what is dead', async (rig) => {
    await rig.send('a')

    const outcomes = await rig.main.transport.settle([
      { kind: 'dead', delivery: await rig.takeOne(), reason: 'It cannot be decoded.' },
    ])

    expect(outcomes).toEqual(['settled'])
    await rig.expectQuiet()
  })

  contract('settles a mix of kinds in one call, with outcomes in order', async (rig) => {
    await rig.send('acked', 'stale', 'replaced', 'released', 'requeued', 'dead')
    const taken = await rig.take(6)
    const [acked, stale, replaced, released, requeued, dead] = taken as [
      Delivery,
      Delivery,
      Delivery,
      Delivery,
      Delivery,
      Delivery,
    ]
    await rig.ack([stale])

    const outcomes = await rig.main.transport.settle([
      { kind: 'ack', delivery: acked },
      { kind: 'ack', delivery: stale },
      { kind: 'replace', delivery: replaced, message: rig.message('replacement') },
      { kind: 'release', delivery: released },
      { kind: 'requeue', delivery: requeued },
      { kind: 'dead', delivery: dead, reason: 'Given up.' },
    ])

    expect(outcomes).toEqual(['settled', 'stale', 'settled', 'settled', 'settled', 'settled'])
    expect((await rig.take(3)).map(factsOf).sort()).toEqual([
      ['released', 1],
      ['replacement', 1],
      ['requeued', 2],
    ])
    await rig.expectQuiet()
  })

  contract('settles a thousand deliveries in one call', async (rig) => {
    await rig.send(...Array.from({ length: 1_000 }, (_, index) => `${index}`))

    const outcomes = await rig.ack(await rig.take(1_000))

    expect(outcomes.filter((outcome) => outcome === 'settled')).toHaveLength(1_000)
  })

  contract('answers stale when a delivery is settled twice in one call', async (rig) => {
    await rig.send('a')
    const delivery = await rig.takeOne()

    expect(await rig.ack([delivery, delivery])).toEqual(['settled', 'stale'])
  })

  contract('answers stale for a delivery that was requeued and delivered again', async (rig) => {
    await rig.send('a')
    const first = await rig.takeOne()
    await rig.main.transport.settle([{ kind: 'requeue', delivery: first }])
    const second = await rig.takeOne()

    expect(await rig.ack([first])).toEqual(['stale'])
    expect(await rig.ack([second])).toEqual(['settled'])
  })

  for (const [kind, settlement] of Object.entries(SETTLEMENTS)) {
    contract(`answers stale, and changes nothing, for ${kind} of a settled delivery`, async (rig) => {
      await rig.send('a')
      const delivery = await rig.takeOne()
      await rig.ack([delivery])

      expect(await rig.main.transport.settle([settlement(delivery, rig)])).toEqual(['stale'])

      await rig.expectQuiet()
      if (capabilities.deadLetters) {
        expect(await rig.main.transport.deadLetters?.list({ queue: rig.queue })).toEqual([])
      }
    })
  }
}
