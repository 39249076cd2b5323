import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { Credentials } from './credentials.ts'
import type { CredentialsOptions } from './credentials.ts'

function credentials(options: Partial<CredentialsOptions> = {}): Credentials {
  return new Credentials({ keys: ['first-key', 'id:secret'], header: 'x-api-key', acceptsModalPair: true, ...options })
}

const check = (given: Record<string, string>, options?: Partial<CredentialsOptions>): string =>
  credentials(options).check(new Headers(given))

describe('the credentials of a service', () => {
  it('let everybody in where there are no keys', () => {
    const open = credentials({ keys: [] })

    expect(open.isOpen).toBe(true)
    expect(open.check(new Headers({ authorization: 'Bearer anything' }))).toBe('open')
    expect(open.callerOf(new Headers())).toBe('open')
  })

  it.each([
    [{ authorization: 'Bearer first-key' }],
    [{ authorization: 'bEARER   first-key ' }],
    [{ 'x-api-key': 'first-key' }],
    [{ 'x-api-key': 'id:secret' }],
    [{ 'modal-key': 'id', 'modal-secret': 'secret' }],
    [{ authorization: 'Bearer wrong', 'x-api-key': 'first-key' }],
    [{ authorization: 'Bearer first-key', 'x-api-key': 'wrong' }],
    [{ authorization: 'Basic Zm9v', 'modal-key': 'id', 'modal-secret': 'secret' }],
  ] as [Record<string, string>][])('accept %j', (given) => {
    expect(check(given)).toBe('accepted')
  })

  it.each([
    [{ authorization: 'Bearer first-ke' }],
    [{ authorization: 'Bearer first-key2' }],
    [{ authorization: 'Bearer FIRST-KEY' }],
    [{ authorization: 'Bearer first-key', 'x-other': 'first-key' }, { keys: ['other'] }],
    [{ 'x-api-key': 'Bearer first-key' }],
    [{ 'modal-key': 'id', 'modal-secret': 'first-key' }],
  ] as [Record<string, string>, Partial<CredentialsOptions>?][])('refuse %j as wrong', (given, options) => {
    expect(check(given, options)).toBe('wrong')
  })

  it.each([
    [{}],
    [{ authorization: 'Basic Zm9v' }],
    [{ authorization: 'Bearer' }],
    [{ authorization: 'first-key' }],
    [{ 'x-api-key': '' }],
    [{ 'modal-key': 'id' }],
    [{ 'modal-secret': 'secret' }],
    [{ 'modal-key': 'id', 'modal-secret': 'secret' }, { acceptsModalPair: false }],
    [{ 'x-api-key': 'first-key' }, { header: 'x-token' }],
  ] as [Record<string, string>, Partial<CredentialsOptions>?][])(
    'say of %j that a key is missing',
    (given, options) => {
      expect(check(given, options)).toBe('missing')
    },
  )

  it('read the header that is configured, in any case', () => {
    expect(check({ 'X-Token': 'first-key' }, { header: 'x-token' })).toBe('accepted')
    expect(check({ 'x-token': 'first-key' }, { header: 'X-Token' })).toBe('accepted')
    expect(check({ authorization: 'first-key' }, { header: 'authorization' })).toBe('accepted')
    expect(check({ authorization: 'Bearer first-key' }, { header: 'authorization' })).toBe('accepted')
  })

  it('tell callers apart, whatever form their key comes in', () => {
    const one = credentials()
    const bearer = one.callerOf(new Headers({ authorization: 'Bearer first-key' }))
    const plain = credentials({ keys: ['first-key'] }).callerOf(new Headers({ 'x-api-key': 'first-key' }))
    const pair = one.callerOf(new Headers({ 'modal-key': 'id', 'modal-secret': 'secret' }))

    expect(bearer).toMatch(/^[0-9a-f]{16}$/)
    expect(plain).toBe(bearer)
    expect(pair).not.toBe(bearer)
    expect(one.callerOf(new Headers({ 'x-api-key': 'wrong' }))).toBe('none')
  })

  it('accept a key beyond ASCII as clients send it: as UTF-8, and as Latin-1', async () => {
    const keys = credentials({ keys: ['schlüssel'] })
    const server = createServer((request, response) => {
      const { 'x-api-key': given } = request.headers
      response.end(keys.check({ get: (name) => (name === 'x-api-key' ? String(given) : null) }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const answers = []
    for (const given of ['schlüssel', Buffer.from('schlüssel').toString('latin1'), 'schlussel']) {
      const response = await fetch(url, { headers: { 'x-api-key': given, connection: 'close' } })
      answers.push(await response.text())
    }
    await new Promise((resolve) => server.close(resolve))

    expect(answers).toEqual(['accepted', 'accepted', 'wrong'])
  })

  it('accept exactly the keys there are', () => {
    const key = fc.stringMatching(/^[!-~]{1,20}$/)
    fc.assert(
      fc.property(fc.array(key, { minLength: 1 }), key, (keys, given) => {
        const all = credentials({ keys })
        expect(all.check(new Headers({ authorization: `Bearer ${given}` }))).toBe(
          keys.includes(given) ? 'accepted' : 'wrong',
        )
        for (const one of keys) expect(all.check(new Headers({ 'x-api-key': one }))).toBe('accepted')
      }),
    )
  })

  it('show no key, neither to inspection nor as JSON', () => {
    const keys = credentials()
    keys.check(new Headers({ authorization: 'Bearer given-key' }))

    const shown = inspect(keys, { depth: Infinity, showHidden: true }) + JSON.stringify(keys)
    expect(shown).not.toMatch(/first-key|secret|given-key/)
  })

  it('refuse an empty key, and do not show the others', () => {
    expect(() => credentials({ keys: ['first-key', ''] })).toThrow(
      'API key 2 of 2 is empty. Give it a value, or remove it.',
    )
  })
})
