import { expect, it } from 'vitest'

import type { Settlement } from '../../contract/index.ts'
import { PlacedList } from '../../util/placed-list.ts'
import { RedisDelivery } from './delivery.ts'
import { settleGroups } from './settle-groups.ts'
import type { SettleGroup } from './settle-groups.ts'

const held = new PlacedList<RedisDelivery>()

function deliver(queue: string, consumer: string): RedisDelivery {
  const parts = { id: '1', attempt: 1, body: '', taskId: undefined }
  const delivery = new RedisDelivery({ queue, source: 'q', consumer }, parts)
  held.add(delivery)
  return delivery
}

const ack = (delivery: RedisDelivery): Settlement => ({ kind: 'ack', delivery })

it('groups by queue and session, and gives the outcomes in order', async () => {
  const deliveries = [deliver('a', '1'), deliver('b', '1'), deliver('a', '1'), deliver('a', '2')]
  const groups: string[] = []

  const outcomes = await settleGroups(deliveries.map(ack), held, async ({ queue, consumer, positions }) => {
    groups.push(`${queue} ${consumer}: ${positions.join(' ')}`)
    return queue === 'b' ? 'none' : consumer === '2' ? [1] : [0, 1]
  })

  expect(groups).toEqual(['a 1: 0 2', 'b 1: 1', 'a 2: 3'])
  expect(outcomes).toEqual(['stale', 'stale', 'settled', 'settled'])
})

it('calls acknowledgements alone plain', async () => {
  const plain: boolean[] = []
  const note = async ({ isPlain }: SettleGroup): Promise<'all'> => {
    plain.push(isPlain)
    return 'all'
  }
  await settleGroups([ack(deliver('a', '1')), ack(deliver('a', '1'))], held, note)
  await settleGroups([ack(deliver('a', '1')), { kind: 'requeue', delivery: deliver('a', '1') }], held, note)

  expect(plain).toEqual([true, false])
})

it('answers stale for what comes twice, or is not held', async () => {
  const delivery = deliver('a', '1')
  const settle = async (): Promise<'all'> => 'all'

  expect(await settleGroups([ack(delivery), ack(delivery)], held, settle)).toEqual(['settled', 'stale'])
  expect(await settleGroups([ack(delivery)], held, settle)).toEqual(['stale'])
})

it('settles all when the call is made again after one group failed', async () => {
  const settlements = [ack(deliver('good', '1')), ack(deliver('bad', '1'))]
  const failing = settleGroups(settlements, held, async ({ queue }) => {
    if (queue === 'bad') throw new Error('Connection is closed.')
    return 'all'
  })
  await expect(failing).rejects.toThrow('Connection is closed.')

  expect(await settleGroups(settlements, held, async () => 'all')).toEqual(['settled', 'settled'])
})
