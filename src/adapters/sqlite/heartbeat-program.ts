/** What the thread is started with. */
export interface HeartbeatSettings {
  /** See `LoadedDriver`. */
  readonly specifier: string | undefined
  readonly path: string
  readonly leaseMs: number
  readonly synchronous: 'normal' | 'full'
  /** Row of `sessions` to renew. */
  readonly session: number
  /** Where process ids mean the same as here; see `hostName`. */
  readonly host: string
}

/** To the thread. */
export type HeartbeatOrder =
  | { readonly kind: 'stop' }
  /** Renew this one from now on. */
  | { readonly kind: 'session'; readonly session: number }

/** From the thread. */
export type HeartbeatReport =
  | { readonly kind: 'ready' }
  /** The session is gone: what it held belongs to others. */
  | { readonly kind: 'lost'; readonly session: number }
  | { readonly kind: 'reclaimed'; readonly workerId: string; readonly count: number; readonly why: string }
  | { readonly kind: 'failed'; readonly message: string }

/**
 * The program of the thread that renews the lease. Plain JavaScript in a string, so that it needs no file of its own:
 * it runs from the TypeScript sources, from `dist`, and when an application bundles us.
 *
 * It beats five times per lease and writes `now + 4/5 lease`, so that the work of a lost process is with others one lease
 * after its last beat. Waiting for a lock may block here: nothing else runs in this thread.
 *
 * It takes back what others held when their lease is over, or when their process is gone from this host. Not though when
 * its own last beats were irregular (the machine slept, the clock was set, the disk was full): then everybody's lease
 * looks expired, and everybody gets half a lease to renew it.
 */
export const HEARTBEAT_PROGRAM: string = `'use strict'
const { parentPort, workerData } = require('node:worker_threads')
const { specifier, path, leaseMs, synchronous, host } = workerData
const { DatabaseSync } = require(specifier ?? 'node:sqlite')
const everyMs = leaseMs / 5
let { session } = workerData
let timer, beatAt, beatWall, reclaimFrom = 0, hasFailed = false

const db = new DatabaseSync(path, { timeout: Math.round(Math.min(2000, everyMs)) })
db.exec('PRAGMA synchronous = ' + synchronous + '; PRAGMA cache_size = -500; PRAGMA wal_autocheckpoint = 0')
const beat = db.prepare('UPDATE sessions SET expires_at = ? WHERE id = ?')
const others = db.prepare('SELECT id, worker_id, pid, host, expires_at FROM sessions WHERE id <> ?')
const end = db.prepare('DELETE FROM sessions WHERE id = ? AND expires_at = ?')
const free = db.prepare('UPDATE messages SET state = 0, owner = NULL WHERE state = 1 AND owner = ?')

const report = (message) => parentPort.postMessage(message)

function isGone(other) {
  if (other.host !== host || other.pid === process.pid) return false
  try {
    process.kill(other.pid, 0)
    return false
  } catch (error) {
    return error.code === 'ESRCH'
  }
}

function reclaim(other, why) {
  let count
  db.exec('BEGIN IMMEDIATE')
  try {
    // Renewed meanwhile: its process lives.
    count = end.run(other.id, other.expires_at).changes > 0 ? Number(free.run(other.id).changes) : undefined
    db.exec('COMMIT')
  } catch (error) {
    try { db.exec('ROLLBACK') } catch {}
    throw error
  }
  if (count !== undefined) report({ kind: 'reclaimed', workerId: other.worker_id, count, why })
}

function tick() {
  const now = performance.now()
  const wall = Date.now()
  const isRegular = beatAt === undefined ||
    (now - beatAt < leaseMs / 2 && Math.abs(wall - beatWall - (now - beatAt)) < everyMs)
  if (!isRegular) reclaimFrom = now + leaseMs / 2
  try {
    if (session !== undefined && beat.run(wall + leaseMs * 0.8, session).changes === 0) {
      report({ kind: 'lost', session })
      session = undefined
    }
    beatAt = now
    beatWall = wall
    if (now >= reclaimFrom) {
      for (const other of others.all(session ?? -1)) {
        if (other.expires_at <= wall) reclaim(other, 'its lease is over')
        else if (isGone(other)) reclaim(other, 'its process ' + other.pid + ' is gone')
      }
    }
    hasFailed = false
  } catch (error) {
    if (!hasFailed) report({ kind: 'failed', message: String(error && error.message) })
    hasFailed = true
  }
  timer = setTimeout(tick, everyMs)
}

parentPort.on('message', (order) => {
  if (order.kind === 'session') {
    session = order.session
    return
  }
  clearTimeout(timer)
  db.close()
  parentPort.close()
})
tick()
report({ kind: 'ready' })
`
