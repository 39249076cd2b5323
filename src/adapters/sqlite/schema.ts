/** Marks a file as ours (`PRAGMA application_id`), so that nobody's own database is taken for a queue: "Kiq\n". */
export const APPLICATION_ID = 0x4b69710a

/**
 * One script per version of the schema: number 0 makes version 1 of an empty file, number 1 makes version 2 of that, and
 * so on. Never changed once published.
 *
 * `messages.state` is 0 ready, 1 leased (by the session `owner`), 2 delayed (until `ready_at`). There is no index on
 * `task_id`: with random ids it would cost more than everything else together (measured: +70 % of insert, claim and
 * delete), only for `cancel`, which scans instead.
 *
 * `schedule_changes` is one row, which counts what schedulers should look at: schedules, pauses, leads that were given up.
 *
 * Ids count up for ever (AUTOINCREMENT): an id that came back would let a late finisher settle somebody else's delivery.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state INTEGER NOT NULL,
    ready_at INTEGER,
    owner INTEGER,
    attempt INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    task_name TEXT NOT NULL,
    body BLOB NOT NULL
  );
  CREATE INDEX messages_ready ON messages (queue, priority DESC, id) WHERE state = 0;
  CREATE INDEX messages_leased ON messages (owner) WHERE state = 1;
  CREATE INDEX messages_delayed ON messages (ready_at, queue) WHERE state = 2;

  CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    worker_id TEXT NOT NULL,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    expires_at INTEGER NOT NULL
  );

  CREATE TABLE results (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL,
    expires_at INTEGER
  );
  CREATE INDEX results_expiry ON results (expires_at) WHERE expires_at IS NOT NULL;

  CREATE TABLE progress (
    task_id TEXT NOT NULL PRIMARY KEY,
    body BLOB NOT NULL,
    expires_at INTEGER
  );
  CREATE INDEX progress_expiry ON progress (expires_at) WHERE expires_at IS NOT NULL;

  CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    task_name TEXT NOT NULL,
    body BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    reason TEXT NOT NULL,
    died_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
  );
  CREATE INDEX dead_letters_queue ON dead_letters (queue, id);
  CREATE INDEX dead_letters_expiry ON dead_letters (expires_at);

  CREATE TABLE cancellations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
  );

  CREATE TABLE schedules (
    schedule_id TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL
  );
  `,
  `
  CREATE TABLE sent_once (
    key TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
  );
  CREATE INDEX sent_once_expiry ON sent_once (expires_at);

  CREATE TABLE schedule_leads (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL
  );

  CREATE TABLE schedule_states (
    name TEXT NOT NULL,
    schedule_id TEXT NOT NULL,
    fired_at INTEGER,
    task_id TEXT,
    seen_at INTEGER,
    is_paused INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (name, schedule_id)
  ) WITHOUT ROWID;

  CREATE TABLE schedule_changes (
    number INTEGER NOT NULL
  );
  INSERT INTO schedule_changes VALUES (0);
  `,
]

/** Tables whose rows go when their `expires_at` is over. */
export const EXPIRING_TABLES = ['results', 'progress', 'dead_letters', 'cancellations', 'sent_once'] as const
