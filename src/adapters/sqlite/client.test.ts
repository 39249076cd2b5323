import { describe, expect, it } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import { hasWalResetBug, loadDriver } from './client.ts'

describe('hasWalResetBug', () => {
  it.each([
    ['3.40.1', true],
    ['3.44.5', true],
    ['3.44.6', false],
    ['3.50.6', true],
    ['3.50.7', false],
    ['3.51.2', true],
    ['3.51.3', false],
    ['3.53.0', false],
    ['4.0.0', false],
  ])('says of SQLite %s: %s', (version, expected) => {
    expect(hasWalResetBug(version)).toBe(expected)
  })
})

describe('loadDriver', () => {
  it('gives a driver with a SQLite that several processes may use', () => {
    const { driver, specifier } = loadDriver(silentLogger)
    const client = new driver.DatabaseSync(':memory:', { timeout: 0 })
    const { version } = client.prepare('SELECT sqlite_version() AS version').get() as { version: string }
    client.close()

    expect(hasWalResetBug(version)).toBe(false)
    const versions: Readonly<Record<string, string | undefined>> = process.versions
    const builtin = versions['sqlite']
    expect(specifier === undefined).toBe(builtin !== undefined && !hasWalResetBug(builtin))
  })
})
