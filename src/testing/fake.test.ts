import { inspect } from 'node:util'

import { describe, expect, it } from 'vitest'

import { token } from '../di/index.ts'
import { fake } from './fake.ts'

interface Mailer {
  welcome(to: string): Promise<void>
  cancel(to: string): Promise<void>
  readonly sent: number
}
const Mailer = token<Mailer>('Mailer')

describe('fake', () => {
  it('has what the test gives it', async () => {
    const to: string[] = []
    const mailer = fake(Mailer, { welcome: async (address) => void (await Promise.resolve(to.push(address))), sent: 0 })

    await mailer.welcome('a@b')

    expect(to).toEqual(['a@b'])
    expect(mailer.sent).toBe(0)
  })

  it('throws on everything else, with the line that would add it', () => {
    expect(() => void fake(Mailer).cancel('a@b')).toThrow(
      'Mailer.cancel was used, and the test does not say what it is. Add it: fake(Mailer, { cancel: … }).',
    )
  })

  it('does not change', () => {
    const mailer = fake(Mailer) as { sent: number }

    expect(() => {
      mailer.sent = 1
    }).toThrow('Mailer.sent was set')
  })

  it('can be awaited, printed and compared', async () => {
    const mailer = fake(Mailer, { sent: 2 })

    expect(await Promise.resolve(mailer)).toBe(mailer)
    expect(inspect(mailer)).toContain('sent: 2')
    expect(JSON.stringify(mailer)).toBe('{"sent":2}')
    expect(mailer).toEqual({ sent: 2 })
  })
})
