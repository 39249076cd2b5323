import { Broker } from '../../core/index.ts'
import type { BrokerOptions } from '../../core/index.ts'
import { SqliteResultBackend } from './result-backend.ts'
import { SqliteTransport } from './transport.ts'
import type { SqliteTransportOptions } from './transport.ts'

export interface SqliteBrokerOptions extends BrokerOptions, SqliteTransportOptions {}

/**
 * Durable broker in one file, without a server: any number of producer and worker processes on one machine open the same
 * file. Results go to the same file unless another backend is given.
 *
 * At least once. Accepted messages survive `kill -9` of every process. With `synchronous: 'normal'` (the default) a power
 * cut may take back the last commits, but never corrupts the file; `'full'` waits for the disk at each commit.
 *
 * The file must be on a local disk: SQLite's locks do not work on network file systems.
 */
export class SqliteBroker extends Broker {
  constructor(options: SqliteBrokerOptions) {
    super(new SqliteTransport(options), { resultBackend: new SqliteResultBackend(options), ...options })
  }
}
