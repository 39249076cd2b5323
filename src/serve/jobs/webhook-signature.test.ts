import { describe, expect, it } from 'vitest'

import { verifyWebhook, webhookKey, webhookSignature } from './webhook-signature.ts'
import type { VerifyWebhookOptions } from './webhook-signature.ts'

// The example of the Standard Webhooks libraries.
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const ID = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
const TIMESTAMP = 1_614_265_330
const BODY = '{"test": 2432232314}'
const SIGNATURE = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
const NOW = TIMESTAMP * 1_000

const HEADERS = { 'webhook-id': ID, 'webhook-timestamp': String(TIMESTAMP), 'webhook-signature': SIGNATURE }

function verify(options: Partial<VerifyWebhookOptions> = {}, headers: Record<string, string> = {}): boolean {
  return verifyWebhook({ secret: SECRET, headers: { ...HEADERS, ...headers }, body: BODY, now: NOW, ...options })
}

describe('the signature of a webhook', () => {
  it('is the one of Standard Webhooks', () => {
    expect(webhookSignature(webhookKey(SECRET), { id: ID, timestamp: TIMESTAMP, body: BODY })).toBe(SIGNATURE)
    expect(verify()).toBe(true)
  })

  it('is verified for headers and bodies of every kind', () => {
    expect(verify({ headers: new Headers(HEADERS) })).toBe(true)
    expect(verify({ headers: { ...HEADERS, 'webhook-signature': ['v1,AAAA', SIGNATURE] } })).toBe(true)
    expect(verify({ headers: Object.fromEntries(Object.entries(HEADERS).map(([k, v]) => [k.toUpperCase(), v])) })).toBe(
      true,
    )
    expect(verify({ body: Buffer.from(BODY) })).toBe(true)
  })

  it('may be one of several', () => {
    const wrong = `v1,${Buffer.alloc(32).toString('base64')}`

    expect(verify({}, { 'webhook-signature': `v1a,xyz ${wrong} ${SIGNATURE}` })).toBe(true)
    expect(verify({}, { 'webhook-signature': `v1a,xyz ${wrong}` })).toBe(false)
  })

  it.each([
    ['another body', { body: BODY + ' ' }, {}],
    ['another secret', { secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx' }, {}],
    ['another id', {}, { 'webhook-id': 'other' }],
    ['no id', {}, { 'webhook-id': '' }],
    ['another time', {}, { 'webhook-timestamp': String(TIMESTAMP + 1) }],
    ['a time that is no number', {}, { 'webhook-timestamp': '1.6e9' }],
    ['no signature', {}, { 'webhook-signature': '' }],
    ['a signature of another version', {}, { 'webhook-signature': SIGNATURE.replace('v1', 'v2') }],
    ['a shorter signature', {}, { 'webhook-signature': SIGNATURE.slice(0, -8) }],
    ['a time long ago', { now: NOW + 301_000 }, {}],
    ['a time to come', { now: NOW - 301_000 }, {}],
    ['a tolerance that is no number', { toleranceSeconds: NaN }, {}],
  ])('is refused with %s', (_name, options, headers) => {
    expect(verify(options, headers)).toBe(false)
  })

  it('may be as old as is tolerated', () => {
    expect(verify({ now: NOW + 300_000 })).toBe(true)
    expect(verify({ now: NOW + 3_600_000, toleranceSeconds: 3_600 })).toBe(true)
    expect(verify({ now: NOW + 2_000, toleranceSeconds: 1 })).toBe(false)
  })

  it('is made with the bytes of a secret that is no base64', () => {
    expect(webhookKey('not base64!')).toEqual(Buffer.from('not base64!'))
    expect(webhookKey('whsec_not base64!')).toEqual(Buffer.from('not base64!'))
    expect(webhookKey('c2VjcmV0')).toEqual(Buffer.from('secret'))
    expect(webhookKey('whsec_c2VjcmV0')).toEqual(Buffer.from('secret'))
  })

  it.each(['', 'whsec_'])('cannot be made or verified with the secret %j', (secret) => {
    expect(() => verify({ secret })).toThrow('The secret for webhooks is empty.')
  })
})
