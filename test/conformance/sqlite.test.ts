import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll } from 'vitest'

import { SqliteResultBackend, SqliteScheduleSource, SqliteTransport } from '../../src/adapters/sqlite/index.ts'
import {
  describeResultBackend,
  describeScheduleSource,
  describeTransport,
} from '../../src/testing/conformance/index.ts'

const directory = mkdtempSync(join(tmpdir(), 'kiq-sqlite-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

let files = 0
const freshPath = (): string => join(directory, `${(files += 1)}.db`)

const leaseMs = 1_000
const OWN = { connection: 'own' } as const

describeTransport({
  name: 'SqliteTransport',
  create: () => new SqliteTransport({ path: freshPath(), lease: leaseMs }),
  peer: (first) => new SqliteTransport({ path: pathOf(first), lease: leaseMs }, OWN),
  crash: (transport) => (transport as SqliteTransport).abandon(),
  leaseMs,
  results: (transport) => new SqliteResultBackend({ path: pathOf(transport) }),
})

describeTransport({
  name: 'SqliteTransport, synchronous: full',
  create: () => new SqliteTransport({ path: freshPath(), lease: leaseMs, synchronous: 'full' }),
  leaseMs,
})

describeResultBackend({
  name: 'SqliteResultBackend',
  create: () => new SqliteResultBackend({ path: freshPath() }),
  peer: (first) => new SqliteResultBackend({ path: pathOf(first) }, OWN),
})

describeScheduleSource({
  name: 'SqliteScheduleSource',
  create: () => new SqliteScheduleSource({ path: freshPath() }),
  peer: (first) => new SqliteScheduleSource({ path: pathOf(first) }, OWN),
})

function pathOf(subject: object): string {
  return (subject as { readonly path: string }).path
}
