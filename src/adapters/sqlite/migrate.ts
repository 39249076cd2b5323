import { ConfigError } from '../../contract/index.ts'
import type { SqliteClient } from './client.ts'
import { APPLICATION_ID, MIGRATIONS } from './schema.ts'

interface FileFacts {
  readonly applicationId: number
  readonly version: number
  readonly tableCount: number
}

/**
 * True when the file has today's schema.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when the file belongs to a newer Kiq, or to another application.
 */
export function isCurrent(client: SqliteClient, path: string): boolean {
  const { applicationId, version, tableCount } = factsOf(client)
  if (applicationId === APPLICATION_ID) {
    if (version <= MIGRATIONS.length) return version === MIGRATIONS.length
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `"${path}" has schema version ${version}, and this Kiq knows versions up to ${MIGRATIONS.length}. Upgrade Kiq in ` +
        'this process, or choose another `path`.',
    )
  }
  if (applicationId === 0 && version === 0 && tableCount === 0) return false
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `"${path}" is the SQLite database of another application (it has ${tableCount} table(s) and no mark of Kiq). Give ` +
      'Kiq a file of its own.',
  )
}

/** Brings the file to today's schema. Must run in a write transaction: all processes may try at once. */
export function migrate(client: SqliteClient, path: string): void {
  if (isCurrent(client, path)) return
  for (const script of MIGRATIONS.slice(factsOf(client).version)) client.exec(script)
  client.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${MIGRATIONS.length}`)
}

function factsOf(client: SqliteClient): FileFacts {
  return client
    .prepare(
      `SELECT application_id AS applicationId, user_version AS version,
        (SELECT count(*) FROM sqlite_schema WHERE type = 'table') AS tableCount
      FROM pragma_application_id, pragma_user_version`,
    )
    .get() as FileFacts
}
