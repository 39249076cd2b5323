/** The bench's side of the contenders: how their processes are started, and what their keys in Redis tell. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { Child } from './child.mjs'
import { boundToInput } from './cleanup.mjs'

/**
 * @typedef {import('ioredis').Redis} Redis
 * @typedef {'raw' | 'bullmq' | 'taskiq' | 'kiq'} Name
 * @typedef {{ one: number, flight: number, bulk: number, work: Record<number, number>, latency: number, waiting: number }} Counts
 * @typedef {{ queue: string, concurrency: number, results: 'kept' | 'none', warm: number, count: number, openLoop: boolean }} WorkerConfig
 *
 * @typedef {object} Contender
 * @property {Name} name
 * @property {Counts} counts How many tasks; at its own rate each measurement takes one or two seconds
 * @property {boolean} latencyNeedsWorker Whether kiq → result is measured with a worker in another process
 * @property {() => { readonly missing: string } | { readonly version: string }} find
 * @property {(url: string) => Child} startProducer
 * @property {(url: string, config: WorkerConfig) => Child} startWorker
 * @property {(redis: Redis, queue: string, sent: number) => Promise<number>} unfinished Tasks that wait or are in work
 * @property {(redis: Redis, queue: string) => Promise<number>} resultCount
 * @property {(redis: Redis, queue: string) => Promise<number>} storedBytes Of the first message: all names and values
 */

const ROOT = new URL('../../', import.meta.url)
const PYTHON = process.env['KIQ_BENCH_PYTHON'] ?? fileURLToPath(new URL('.venv/taskiq-newest/bin/python', ROOT))
const HERE = fileURLToPath(new URL('.', import.meta.url))

/** @type {readonly Contender[]} */
export const CONTENDERS = [
  {
    ...inJavaScript('raw'),
    find: () => ({ version: `ioredis ${installedVersion('ioredis')}` }),
    counts: {
      one: 10_000,
      flight: 80_000,
      bulk: 200_000,
      work: { 1: 16_000, 10: 120_000, 100: 300_000 },
      latency: 1_000,
      waiting: 100_000,
    },
    unfinished: streamLength,
    resultCount: async (redis) => (await keysLike(redis, 'result:*')).length,
    storedBytes: firstEntryBytes,
  },
  {
    ...inJavaScript('bullmq'),
    find: () => ({ version: `bullmq ${installedVersion('bullmq')}, ioredis ${installedVersion('ioredis')}` }),
    counts: {
      one: 5_000,
      flight: 20_000,
      bulk: 20_000,
      work: { 1: 8_000, 10: 40_000, 100: 50_000 },
      latency: 500,
      waiting: 100_000,
    },
    unfinished: async (redis, queue) =>
      (await redis.llen(`bull:${queue}:wait`)) + (await redis.llen(`bull:${queue}:active`)),
    resultCount: async (redis, queue) => await redis.zcard(`bull:${queue}:completed`),
    storedBytes: async (redis, queue) => {
      const id = await redis.lindex(`bull:${queue}:wait`, -1)
      return bytesOf(Object.entries(await redis.hgetall(`bull:${queue}:${id}`)).flat())
    },
  },
  {
    name: 'taskiq',
    latencyNeedsWorker: true,
    find: findTaskiq,
    counts: {
      one: 1_500,
      flight: 2_000,
      bulk: 2_000,
      work: { 1: 4_000, 10: 5_000, 100: 5_000 },
      latency: 300,
      waiting: 5_000,
    },
    startProducer: (url) => new Child('taskiq', [PYTHON, `${HERE}taskiq_child.py`], pythonEnv(url)),
    startWorker: (url, config) => {
      const command = [
        ...[PYTHON, '-m', 'taskiq', 'worker', 'taskiq_child:broker', '--app-dir', HERE],
        ...['--workers', '1', '--max-async-tasks', String(config.concurrency)],
        // By default it writes a line for every task. `--max-prefetch` and `--no-parse` change nothing here.
        ...['--log-level', 'WARNING'],
      ]
      const env = { ...pythonEnv(url), KIQ_BENCH_WORKER: JSON.stringify(config) }
      return new Child('taskiq worker', boundToInput(command), env)
    },
    // It acknowledges, but never deletes.
    unfinished: async (redis, queue, sent) => {
      const [group] = /** @type {any[][]} */ (await redis.xinfo('GROUPS', queue))
      const of = (/** @type {string} */ field) => Number(group?.[group.indexOf(field) + 1] ?? 0)
      return sent - (of('entries-read') - of('pending'))
    },
    resultCount: countTaskIds,
    storedBytes: firstEntryBytes,
  },
  {
    ...inJavaScript('kiq'),
    find: findKiq,
    counts: {
      one: 10_000,
      flight: 40_000,
      bulk: 100_000,
      work: { 1: 10_000, 10: 80_000, 100: 180_000 },
      latency: 1_000,
      waiting: 100_000,
    },
    unfinished: streamLength,
    resultCount: countTaskIds,
    storedBytes: firstEntryBytes,
  },
]

/** @param {Exclude<Name, 'taskiq'>} name */
function inJavaScript(name) {
  const program = fileURLToPath(new URL('../redis-worker.mjs', import.meta.url))
  return {
    name,
    latencyNeedsWorker: false,
    startProducer: (/** @type {string} */ url) => new Child(name, [process.execPath, program, name, url]),
    startWorker: (/** @type {string} */ url, /** @type {WorkerConfig} */ config) =>
      new Child(`${name} worker`, [process.execPath, program, name, url, JSON.stringify(config)]),
  }
}

function findKiq() {
  if (!existsSync(new URL('dist/adapters/redis/index.js', ROOT))) {
    return { missing: 'dist/adapters/redis does not exist. Build a version that has the adapter: npm run build' }
  }
  return { version: `kiq ${JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')).version}` }
}

function findTaskiq() {
  const program = `
import importlib.metadata as m, platform
def of(name):
    try: return name + ' ' + m.version(name)
    except m.PackageNotFoundError: return 'no ' + name
print('Python ' + platform.python_version(), *map(of, ('taskiq', 'taskiq-redis', 'redis', 'uvloop', 'hiredis')), sep=', ')
import taskiq, taskiq_redis`
  const { status, stdout } = spawnSync(PYTHON, ['-c', program], { encoding: 'utf8', timeout: 20_000 })
  if (status === 0) return { version: stdout.trim() }
  return { missing: `${PYTHON} has no taskiq with taskiq-redis. Name one that has in KIQ_BENCH_PYTHON` }
}

/** @param {string} url */
function pythonEnv(url) {
  return { KIQ_BENCH_URL: url, PYTHONDONTWRITEBYTECODE: '1' }
}

/** @param {string} name */
function installedVersion(name) {
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, ROOT), 'utf8')).version
}

/**
 * Whoever deletes what is done leaves only what is not.
 *
 * @param {Redis} redis
 * @param {string} queue
 */
async function streamLength(redis, queue) {
  return await redis.xlen(queue)
}

/**
 * @param {Redis} redis
 * @param {string} queue
 */
async function firstEntryBytes(redis, queue) {
  const [entry] = await redis.xrange(queue, '-', '+', 'COUNT', 1)
  return bytesOf(entry?.[1] ?? [])
}

/**
 * Taskiq's results have the id of the task as their key.
 *
 * @param {Redis} redis
 */
async function countTaskIds(redis) {
  return (await keysLike(redis, '?'.repeat(32))).length
}

/** @param {readonly string[]} texts */
function bytesOf(texts) {
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
}

/**
 * @param {Redis} redis
 * @param {string} pattern
 */
async function keysLike(redis, pattern) {
  const keys = []
  for await (const some of redis.scanStream({ match: pattern, count: 1_000 })) keys.push(...some)
  return keys
}
