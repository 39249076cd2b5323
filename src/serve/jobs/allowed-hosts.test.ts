import { describe, expect, it } from 'vitest'

import { AllowedHosts } from './allowed-hosts.ts'

const has = (patterns: readonly string[], url: string): boolean => new AllowedHosts(patterns).has(new URL(url))

describe('allowed hosts', () => {
  it('are all where none is named', () => {
    expect(has([], 'http://anything.example')).toBe(true)
  })

  it.each([
    ['example.com', 'https://example.com/x'],
    ['Example.COM', 'https://example.com:8443'],
    ['example.com', 'https://EXAMPLE.com.'],
    ['*.example.com', 'https://a.example.com'],
    ['*.example.com', 'https://a.b.example.com'],
    ['*.example.com', 'https://a.example.com.'],
    ['127.0.0.1', 'http://0x7f.1'],
    ['::1', 'http://[0:0::1]:80'],
    ['[::1]', 'http://[::1]'],
    ['bücher.example', 'http://xn--bcher-kva.example'],
  ])('of the form %s have %s', (pattern, url) => {
    expect(has([pattern], url)).toBe(true)
    expect(has(['other.example', pattern], url)).toBe(true)
  })

  it.each([
    ['example.com', 'https://a.example.com'],
    ['example.com', 'https://example.com.evil.example'],
    ['*.example.com', 'https://example.com'],
    ['*.example.com', 'https://badexample.com'],
    ['127.0.0.1', 'http://127.0.0.2'],
  ])('of the form %s do not have %s', (pattern, url) => {
    expect(has([pattern], url)).toBe(false)
  })

  it.each(['', '*.', '*', 'a.*.com', 'example.com:80', 'https://example.com', 'a/b', 'user@host', 'a b'])(
    'cannot be written as %j',
    (pattern) => {
      expect(() => new AllowedHosts([pattern])).toThrow(`${JSON.stringify(pattern)} is no host for webhooks.`)
    },
  )
})
