import type { Logger } from '../../contract/index.ts'
import { Database } from './database.ts'

/** What somebody needs from the database of a file. */
export interface DatabaseRequest {
  /** As `resolvePath` gives it. */
  readonly path: string
  readonly synchronous: 'normal' | 'full'
  readonly busyTimeoutMs: number
  readonly logger: Logger
  /** `process`: one connection for everybody in this process; `own`: one more, as another process would have. */
  readonly connection: 'process' | 'own'
}

/** A database that stays open until it is released by everybody. */
export interface DatabaseLease {
  readonly database: Database
  /** Harmless when called twice. */
  release(): Promise<void>
}

interface Shared {
  readonly opening: Promise<Database>
  users: number
  isFull: boolean
}

const shared = new Map<string, Shared>()

/** Opens the database of a file, or hands out the one that this process has open already. */
export async function acquireDatabase(request: DatabaseRequest): Promise<DatabaseLease> {
  if (request.connection === 'own') {
    const database = await Database.open(request)
    database.setSynchronous(request.synchronous)
    return { database, release: () => database.close() }
  }
  const entry = shared.get(request.path) ?? addEntry(request)
  entry.users += 1
  try {
    const database = await entry.opening
    // The stricter wish wins: a result backend's default must not weaken what was promised for the messages.
    entry.isFull ||= request.synchronous === 'full'
    database.setSynchronous(entry.isFull ? 'full' : 'normal')
    let isReleased = false
    return {
      database,
      release: async () => {
        if (isReleased) return
        isReleased = true
        await releaseEntry(request.path, entry)
      },
    }
  } catch (error) {
    entry.users -= 1
    if (shared.get(request.path) === entry) shared.delete(request.path)
    throw error
  }
}

function addEntry(request: DatabaseRequest): Shared {
  const entry: Shared = { opening: Database.open(request), users: 0, isFull: false }
  shared.set(request.path, entry)
  return entry
}

async function releaseEntry(path: string, entry: Shared): Promise<void> {
  entry.users -= 1
  if (entry.users > 0) return
  if (shared.get(path) === entry) shared.delete(path)
  await (await entry.opening).close()
}
