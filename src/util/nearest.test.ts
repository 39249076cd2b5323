import { describe, expect, it } from 'vitest'

import { nearest } from './nearest.ts'

describe('nearest()', () => {
  const hits: readonly [name: string, names: readonly string[], expected: string][] = [
    ['Mailler', ['Users', 'Mailer', 'Pool'], 'Mailer'],
    ['Mialer', ['Mailer'], 'Mailer'],
    ['mailer', ['Mailer'], 'Mailer'],
    ['DatabasePool', ['DataPool'], 'DataPool'],
    ['Repositori', ['Repo', 'Repository', 'Repositories'], 'Repository'],
    ['Pol', ['Pool'], 'Pool'],
    ['Pool', ['Pol', 'Poo'], 'Pol'],
  ]

  it.each(hits)('finds for %s among %j: %s', (name, names, expected) => {
    expect(nearest(name, names)).toBe(expected)
  })

  const misses: readonly [name: string, names: readonly string[]][] = [
    ['Mailer', []],
    ['Mailer', ['Users', 'Pool', 'M']],
    ['Mailer', ['Mlrxe']],
    ['Pool', ['Pipe']],
    ['Pool', ['ConnectionPool']],
  ]

  it.each(misses)('finds nothing for %s among %j', (name, names) => {
    expect(nearest(name, names)).toBeUndefined()
  })

  it('prefers the closest, wherever it stands', () => {
    expect(nearest('Mailers', ['Mailxyz', 'Mailer', 'Mailery'])).toBe('Mailer')
    expect(nearest('Mailers', ['Mailers', 'Mailer'])).toBe('Mailers')
  })
})
