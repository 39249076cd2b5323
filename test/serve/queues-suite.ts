import { randomUUID } from 'node:crypto'

import { afterEach, describe, expect, it } from 'vitest'

import type { QueueBackend } from '../../src/serve/queue-backend.ts'

/** One backend, and whoever consumes what it sends. */
export interface QueueRig {
  readonly backend: QueueBackend
  /** Takes so many messages as text, oldest first; nothing for a backend that only drops them. */
  readonly receive?: ((queueName: string, count: number) => Promise<readonly string[]>) | undefined
  /** Ends what the rig has started; the backend is closed already. */
  readonly close?: (() => Promise<unknown>) | undefined
}

export interface QueueTraits {
  /** Whether the consumer sees messages that were sent one after another in that order. */
  readonly order: 'kept' | 'not promised'
  /** Ends every name of a queue. */
  readonly suffix?: string | undefined
  /** Text to be sent instead of all of Unicode: what the server of the tests knows. */
  readonly text?: string | undefined
}

const TEXT = 'é ÿ 漢字 \u0000 \u2028 \ufffe \uffff \ud800 "\\ 😀'

/** Names that some technology does not like. All of them come from requests. */
const ODD_NAMES = [
  ' ',
  'two words',
  'a/b',
  '../up',
  'a.b',
  'ü',
  '😀',
  '\u0000',
  '\ud800',
  '__proto__',
  'constructor',
  'a\r\nb',
  '{a}',
  '*',
  '.fifo',
  'x'.repeat(5_000),
]

/** What every backend owes. */
export function queueSuite(name: string, traits: QueueTraits, open: () => Promise<QueueRig>): void {
  describe(name, () => {
    const rigs: QueueRig[] = []
    const opened = async (): Promise<QueueRig & { readonly queue: string }> => {
      const rig = await open()
      rigs.push(rig)
      return { ...rig, queue: `queue-${randomUUID().slice(0, 8)}${traits.suffix ?? ''}` }
    }
    afterEach(async () => {
      for (const rig of rigs.splice(0)) {
        await rig.backend.close?.()
        await rig.close?.()
      }
    })

    it('sends a message with any text', async () => {
      const { backend, receive, queue } = await opened()
      const message = { text: traits.text ?? TEXT, [traits.text ?? TEXT]: [1, null, true] }

      expect(await backend.sendMessage(queue, JSON.stringify(message))).toBe(true)

      if (receive === undefined) return
      const [received = ''] = await receive(queue, 1)
      expect(JSON.parse(received)).toEqual(message)
    })

    it('sends messages to several queues, each to its own', async () => {
      const { backend, receive, queue } = await opened()
      const names = ['one-', 'two-', 'three-'].map((prefix) => prefix + queue)

      for (const to of names) expect(await backend.sendMessage(to, JSON.stringify({ to }))).toBe(true)

      if (receive === undefined) return
      for (const to of names) expect(await receive(to, 1)).toEqual([JSON.stringify({ to })])
    })

    it(`sends a hundred messages at once, each of them once`, async () => {
      const { backend, receive, queue } = await opened()
      const messages = Array.from({ length: 100 }, (_, n) => JSON.stringify({ n }))

      const outcomes = await Promise.all(messages.map((message) => backend.sendMessage(queue, message)))

      expect(outcomes).toEqual(messages.map(() => true))
      if (receive === undefined) return
      expect([...(await receive(queue, messages.length))].sort()).toEqual([...messages].sort())
    })

    if (traits.order === 'kept') {
      it('keeps the order of what is sent one after another', async () => {
        const { backend, receive, queue } = await opened()
        const messages = Array.from({ length: 25 }, (_, n) => JSON.stringify({ n }))

        for (const message of messages) await backend.sendMessage(queue, message)

        expect(await receive?.(queue, messages.length)).toEqual(messages)
      })
    }

    it('takes any name of a queue, or says that it does not', async () => {
      const { backend } = await opened()

      for (const odd of ODD_NAMES) expect(await backend.sendMessage(odd, '{}'), odd).toBeTypeOf('boolean')
    })

    it('is closed twice, before the first message or after one', async () => {
      const [unused, used] = [await opened(), await opened()]
      await used.backend.sendMessage(used.queue, '{}')

      for (const { backend } of [unused, used, unused, used]) await backend.close?.()
    })
  })
}
