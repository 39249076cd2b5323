import { describe, expect, it } from 'vitest'

import { parseTarget } from './target.ts'

describe('parseTarget', () => {
  it.each([
    ['redis://', { host: 'localhost', port: 6379, db: 0 }],
    ['redis://cache', { host: 'cache', port: 6379, db: 0 }],
    ['redis://cache:7000/3', { host: 'cache', port: 7000, db: 3 }],
    ['redis://ada:pa%40ss@cache/0', { host: 'cache', port: 6379, db: 0, username: 'ada', password: 'pa@ss' }],
    ['redis://:secret@cache', { host: 'cache', port: 6379, db: 0, password: 'secret' }],
    ['redis://[::1]:6380', { host: '::1', port: 6380, db: 0 }],
    ['rediss://cache', { host: 'cache', port: 6379, db: 0, tls: {} }],
  ])('reads %s', (url, options) => {
    expect(parseTarget(url)).toMatchObject({ kind: 'single', options })
  })

  it('reads the nodes of a cluster', () => {
    const { kind, nodes, options } = parseTarget('rediss+cluster://ada:x@a,b:7001,[::1]')

    expect([kind, options]).toEqual(['cluster', { username: 'ada', password: 'x', tls: {} }])
    expect(nodes).toEqual([
      { host: 'a', port: 6379 },
      { host: 'b', port: 7001 },
      { host: '::1', port: 6379 },
    ])
  })

  it('reads sentinels and the name of their master', () => {
    const { kind, options } = parseTarget('redis+sentinel://:x@a,b:5000/my%20master/2?sentinelPassword=y')

    expect(kind).toBe('sentinel')
    expect(options).toEqual({
      password: 'x',
      sentinels: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 5000 },
      ],
      name: 'my master',
      db: 2,
      sentinelPassword: 'y',
    })
  })

  it('shows the place without the password', () => {
    expect(parseTarget('redis://ada:secret@cache/1').shown).toBe('redis://cache:6379/1')
    expect(parseTarget('redis+cluster://:secret@a,[::1]:7000').shown).toBe('redis+cluster://a:6379,[::1]:7000')
  })

  it.each([
    ['no text', 5],
    ['another scheme', 'http://cache'],
    ['no scheme', 'cache:6379'],
    ['an unknown topology', 'redis+ring://cache'],
    ['several hosts without a topology', 'redis://a,b'],
    ['port 0', 'redis://cache:0'],
    ['a port that is none', 'redis://cache:123456'],
    ['a host with a blank', 'redis://ca che'],
    ['an empty host among others', 'redis+cluster://a,,b'],
    ['a database that is no number', 'redis://cache/orders'],
    ['a database of a cluster', 'redis+cluster://a/1'],
    ['no master', 'redis+sentinel://a,b'],
    ['a parameter', 'redis://cache?lease=5s'],
    ['a bad escape', 'redis://:%zz@cache'],
  ])('refuses %s', (_what, url) => {
    expect(() => parseTarget(url)).toThrow(/`url` is .* Use redis:\/\//)
  })

  it('shows no password in a refusal', () => {
    expect(() => parseTarget('redis://:secret@cache:0')).toThrow(/^(?!.*secret)/)
  })
})
