import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import { Redis } from 'ioredis'

import { atExit, boundToInput, killGroup } from './cleanup.mjs'

const PROGRAM = 'redis-server'
const START_LIMIT_MS = 5_000

/** Version of the `redis-server` in PATH; `undefined` when there is none. */
export function redisVersion() {
  const { stdout } = spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' })
  return /v=(\S+)/.exec(stdout ?? '')?.[1]
}

/** A `redis-server` of our own: loopback, a free port, its own folder, nothing persisted. */
export async function startServer() {
  const dir = mkdtempSync(join(tmpdir(), 'kiq-bench-redis-'))
  const port = await freePort()
  const options = { port, bind: '127.0.0.1', save: '', appendonly: 'no', dir, loglevel: 'warning' }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  const [file = '', ...rest] = boundToInput([PROGRAM, ...args])
  const server = spawn(file, rest, { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  const ended = once(server, 'exit')
  const remove = () => {
    killGroup(server)
    rmSync(dir, { recursive: true, force: true })
  }
  const forget = atExit(remove)
  const redis = new Redis({ port, host: '127.0.0.1', lazyConnect: true, retryStrategy: () => null })
  redis.on('error', () => {})
  const stop = async () => {
    redis.disconnect()
    remove()
    await ended
    forget()
  }
  try {
    await connect(redis)
  } catch (error) {
    await stop()
    throw error
  }
  return { redis, url: `redis://127.0.0.1:${port}`, stop }
}

/** @param {Redis} redis */
async function connect(redis) {
  const giveUpAt = performance.now() + START_LIMIT_MS
  for (;;) {
    try {
      return await redis.connect()
    } catch (error) {
      if (performance.now() > giveUpAt) throw new Error('redis-server does not answer.', { cause: error })
      await pause(20)
    }
  }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address())
  probe.close()
  await once(probe, 'close')
  return port
}

/**
 * Seconds of processor time that the server has used.
 *
 * @param {Redis} redis
 */
export async function serverCpuSeconds(redis) {
  const info = await redis.info('cpu')
  return field(info, 'used_cpu_sys') + field(info, 'used_cpu_user')
}

/**
 * Bytes: the data alone, as Redis tells them, and with the tables of keys and the buffers.
 *
 * @param {Redis} redis
 */
export async function serverMemory(redis) {
  const info = await redis.info('memory')
  return { dataset: field(info, 'used_memory_dataset'), all: field(info, 'used_memory') }
}

/**
 * @param {string} info
 * @param {string} name
 */
function field(info, name) {
  return Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1])
}
