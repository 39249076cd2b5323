import { setImmediate as turn } from 'node:timers/promises'

/** The driver Kiq uses on this Node. */
async function driver() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const builtin = major > 22 || (major === 22 && minor >= 13)
  return await import(builtin ? 'node:sqlite' : '@photostructure/sqlite')
}

/**
 * The same tables without a queue's duties: no leases, priorities, delays, ids to find a task by.
 *
 * @param {string} path
 */
export async function openRaw(path) {
  const { DatabaseSync } = await driver()
  const database = new DatabaseSync(path, { timeout: 10_000 })
  database.exec('PRAGMA journal_mode = WAL')
  database.exec('PRAGMA synchronous = NORMAL')
  database.exec(`CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY AUTOINCREMENT, owner INTEGER, body TEXT)`)
  database.exec(`CREATE TABLE IF NOT EXISTS results (seq INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT, body TEXT)`)
  database.exec('CREATE INDEX IF NOT EXISTS ready ON messages (id) WHERE owner IS NULL')
  return database
}

/**
 * @param {any} database
 * @param {number} tasks
 * @param {number} batch
 * @param {number} inFlight
 */
export async function rawProduce(database, tasks, batch, inFlight) {
  const insert = database.prepare('INSERT INTO messages (body) VALUES (?)')
  const read = database.prepare('SELECT seq, body FROM results WHERE seq > ? ORDER BY seq LIMIT 1000')
  let seen = database.prepare('SELECT coalesce(max(seq), 0) AS last FROM results').get().last
  let sent = 0
  let done = 0
  while (done < tasks) {
    if (sent < tasks && sent - done < inFlight) {
      database.exec('BEGIN IMMEDIATE')
      for (let i = 0; i < batch; i += 1) insert.run(message(sent + i))
      database.exec('COMMIT')
      sent += batch
    }
    for (const row of read.all(seen)) {
      JSON.parse(row.body)
      seen = row.seq
      done += 1
    }
    await turn()
  }
  return tasks
}

/**
 * Claims a batch, "runs" it, then deletes it and stores the results in one transaction. Returns how many.
 *
 * @param {any} database
 * @param {number} batch
 */
export function rawConsumer(database, batch) {
  const claim = database.prepare(
    `UPDATE messages SET owner = ${process.pid} WHERE id IN (SELECT id FROM messages WHERE owner IS NULL ORDER BY id LIMIT ${batch})
    RETURNING id, body`,
  )
  const remove = database.prepare('DELETE FROM messages WHERE id = ?')
  const store = database.prepare('INSERT INTO results (task_id, body) VALUES (?, ?)')
  const some = database.prepare('SELECT 1 FROM messages WHERE owner IS NULL LIMIT 1')
  return () => {
    if (some.get() === undefined) return 0
    database.exec('BEGIN IMMEDIATE')
    const rows = claim.all()
    database.exec('COMMIT')
    const results = rows.map((/** @type {any} */ row) => {
      const { task_id: id, args } = JSON.parse(row.body)
      return { row, id, body: JSON.stringify({ is_err: false, return_value: args[0] + 1 }) }
    })
    database.exec('BEGIN IMMEDIATE')
    for (const { row, id, body } of results) {
      remove.run(row.id)
      store.run(id, body)
    }
    database.exec('COMMIT')
    return rows.length
  }
}

/** @param {number} n */
function message(n) {
  return JSON.stringify({
    task_id: n.toString(16).padStart(32, '0'),
    task_name: 'add',
    labels: {},
    labels_types: {},
    args: [n],
    kwargs: {},
  })
}
