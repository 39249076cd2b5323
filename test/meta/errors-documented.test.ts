import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { ERROR_CODES } from '../../src/index.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/errors.md'), 'utf8')
const [, ...entries] = page.split(/^## /m)

describe('docs/errors.md', () => {
  it('has one entry per error code, in the order of ERROR_CODES', () => {
    expect(entries.map((entry) => entry.split('\n')[0])).toEqual([...ERROR_CODES])
  })

  it.each(entries.map((entry) => [entry.split('\n')[0] ?? '', entry] as const))('explains %s', (_code, entry) => {
    const [, meaning = '', ...rest] = entry.split(/\n\n+/)

    expect(meaning.trim()).toMatch(/\.$/)
    expect(rest.join('\n\n')).toMatch(/^Usual causes: [^]+\.\n+Remedy: [^]+\.\s*$/)
  })
})
