import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { Redis } from 'ioredis'

import { until } from '../../src/testing/until.ts'
import { diesWithTests } from './dies-with-tests.ts'
import type { Engine } from './engine-suite.ts'
import { findProgram } from './find-program.ts'

export const redisBinary: string | undefined = findProgram('redis-server')

export const redisEngine: Engine = {
  missing:
    redisBinary === undefined ? 'redis-server is not installed (Debian: apt-get install redis-server)' : undefined,
}

/** Without any option a server keeps everything in memory alone. */
export interface RedisOptions {
  /** Writes an append-only file, so that data survive `kill()`, and with `always` even the loss of power. */
  readonly appendonly?: 'everysec' | 'always' | undefined
  readonly requirepass?: string | undefined
  /** Such as `3mb`: from there on writes are refused, since nothing is evicted. */
  readonly maxmemory?: string | undefined
  /** Starts as a replica of that server, which has the same password, and is in sync when it has started. */
  readonly replicaof?: { readonly port: number } | undefined
  /** Speaks TLS alone, with a certificate that signs itself. */
  readonly tls?: boolean | undefined
  /** Further lines of `redis.conf`, name and the rest of the line, for example `{ maxclients: '10' }`. */
  readonly config?: Readonly<Record<string, string>> | undefined
}

/** A `redis-server` on 127.0.0.1 that ends with the tests. */
export interface RedisServer {
  readonly url: string
  readonly port: number
  /** Holds its data, `redis.conf` and `redis.log`. */
  readonly directory: string
  /** Of `redis-server` itself; another one after each `start()`. */
  readonly pid: number
  /** With `tls`: the PEM text that clients have to trust, and its file. */
  readonly tls?: { readonly ca: string; readonly caFile: string } | undefined
  /** SIGKILL. Resolves when the process is gone. */
  kill(): Promise<void>
  /** SIGTERM. Resolves when the process is gone. */
  stop(): Promise<void>
  /** After `kill()` or `stop()`: same port, directory and options. Resolves when it has loaded its data and answers. */
  start(): Promise<void>
  /** SIGSTOP: connections stay open and nothing is answered. */
  pause(): void
  /** SIGCONT */
  resume(): void
  /**
   * Sends one command over a connection of its own, and resolves with the reply as RESP2 has it. Rejects when the
   * server closes the connection meanwhile, as it does when sentinels make a replica of it.
   */
  command(name: string, ...args: string[]): Promise<unknown>
  /** Kills it and removes its directory. */
  close(): Promise<void>
}

export interface RedisCluster {
  /** Three masters, each with a third of the slots and without replicas. */
  readonly nodes: readonly RedisServer[]
  /** `redis+cluster://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3` */
  readonly url: string
  /** Resolves when every node that runs says that the cluster works, for instance after one was started again. */
  becameOk(): Promise<void>
  close(): Promise<void>
}

export interface RedisSentinel {
  /** At the start. */
  readonly master: RedisServer
  /** At the start. */
  readonly replica: RedisServer
  readonly sentinels: readonly RedisServer[]
  /** `redis+sentinel://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/mymaster` */
  readonly url: string
  readonly masterName: string
  close(): Promise<void>
}

/** Resolves when it answers. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const server = await launch('standalone', options)
  if (options.replicaof !== undefined) {
    await ready(server, async () => includes(await server.command('INFO', 'replication'), 'master_link_status:up'))
  }
  return server
}

/**
 * Takes two seconds: for so long a master that has just started refuses to serve.
 *
 * @param options - Of each node.
 */
export async function startRedisCluster(
  options: Pick<RedisOptions, 'appendonly' | 'config' | 'maxmemory'> = {},
): Promise<RedisCluster> {
  const nodes = await all([1, 2, 3].map(() => launch('cluster', options)))
  const becameOk = async (): Promise<void> => {
    const running = nodes.filter((node) => node.isRunning)
    await Promise.all(running.map((node) => ready(node, async () => isClusterOk(node, nodes.length))))
  }
  const close = (): Promise<void> => closeAll(nodes)
  try {
    await Promise.all(
      nodes.map(async (node, index) => {
        await node.command('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1))
        const [first, end] = [index, index + 1].map((third) => Math.floor((16_384 * third) / nodes.length))
        await node.command('CLUSTER', 'ADDSLOTSRANGE', String(first), String(Number(end) - 1))
      }),
    )
    for (const [index, node] of nodes.entries()) {
      // Each pair at once; gossip would find out, and take its time.
      for (const { port, busPort } of nodes.slice(index + 1)) {
        await node.command('CLUSTER', 'MEET', '127.0.0.1', String(port), String(busPort))
      }
    }
    await becameOk()
  } catch (error) {
    await close()
    throw error
  }
  return { nodes, url: `redis+cluster://${addresses(nodes)}`, becameOk, close }
}

/** Resolves when the sentinels know the replica and each other. They replace a master three seconds after its end. */
export async function startRedisSentinel(): Promise<RedisSentinel> {
  const masterName = 'mymaster'
  const started: RedisServer[] = []
  const close = (): Promise<void> => closeAll(started)
  try {
    const master = await startRedis()
    started.push(master)
    const replica = await startRedis({ replicaof: master })
    started.push(replica)
    const sentinels = await all([1, 2, 3].map(() => launch('sentinel', { master, masterName })))
    started.push(...sentinels)
    await Promise.all(
      sentinels.map(async (sentinel) => {
        // They look every 10 s and greet every 2 s otherwise, and a test would wait for that.
        await sentinel.command('SENTINEL', 'DEBUG', 'INFO-PERIOD', '200', 'PUBLISH-PERIOD', '200')
        await ready(sentinel, () => isComplete(sentinel, masterName, sentinels.length - 1))
      }),
    )
    const url = `redis+sentinel://${addresses(sentinels)}/${masterName}`
    return { master, replica, sentinels, url, masterName, close }
  } catch (error) {
    await close()
    throw error
  }
}

type Mode = 'standalone' | 'cluster' | 'sentinel'

interface LaunchOptions extends RedisOptions {
  readonly master?: RedisServer
  readonly masterName?: string
}

/** Longest wait for a server; a machine under load may need long to start a process. */
const SOON = { timeoutMs: 20_000 }
const ATTEMPTS = 5

/** Starts one on a port that nobody else has, and again on another one when somebody was faster. */
async function launch(mode: Mode, options: LaunchOptions): Promise<Server> {
  for (let attempt = 1; ; attempt += 1) {
    const server = await Server.create(mode, options)
    try {
      await server.start()
      return server
    } catch (error) {
      const wasTaken = server.log.includes('Address already in use')
      await server.close()
      if (!wasTaken || attempt === ATTEMPTS) throw error
    }
  }
}

class Server implements RedisServer {
  readonly url: string
  readonly port: number
  readonly busPort: number
  readonly directory: string
  readonly tls: RedisServer['tls']
  readonly #arguments: readonly string[]
  readonly #password: string | undefined
  #process: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #client: Redis | undefined

  static async create(mode: Mode, options: LaunchOptions): Promise<Server> {
    const directory = mkdtempSync(join(tmpdir(), 'kiq-redis-'))
    const ports = { port: await freePort(), busPort: await freePort() }
    const tls = options.tls === true ? await createCertificate(directory) : undefined
    const lines = mode === 'sentinel' ? sentinelLines(options, ports) : serverLines(mode, options, ports)
    writeFileSync(join(directory, 'redis.conf'), `${[...commonLines(directory), ...lines].join('\n')}\n`)
    return new Server(mode, options, { directory, tls, ...ports })
  }

  constructor(mode: Mode, options: LaunchOptions, place: Pick<Server, 'busPort' | 'directory' | 'port' | 'tls'>) {
    this.port = place.port
    this.busPort = place.busPort
    this.directory = place.directory
    this.tls = place.tls
    this.#password = options.requirepass
    this.#arguments = mode === 'sentinel' ? ['redis.conf', '--sentinel'] : ['redis.conf']
    const user = this.#password === undefined ? '' : `:${encodeURIComponent(this.#password)}@`
    this.url = `${this.tls === undefined ? 'redis' : 'rediss'}://${user}127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.#running().pid as number
  }

  get isRunning(): boolean {
    return this.#process !== undefined
  }

  get log(): string {
    return readFileSync(join(this.directory, 'redis.log'), 'utf8')
  }

  async start(): Promise<void> {
    if (this.#process !== undefined) throw new Error(`The Redis server on port ${this.port} runs already.`)
    if (redisBinary === undefined) throw new Error(redisEngine.missing)
    const log = openSync(join(this.directory, 'redis.log'), 'a')
    const child = spawn(redisBinary, this.#arguments, { cwd: this.directory, stdio: ['ignore', log, log] })
    closeSync(log)
    diesWithTests(child)
    this.#process = child
    this.#ended = once(child, 'exit').finally(() => {
      this.#process = undefined
      // It notices the end of its connection later, and until then would take commands for the next process.
      this.#client?.disconnect()
      this.#client = undefined
    })
    try {
      await ready(this, () => this.#answers())
    } catch (error) {
      await this.kill()
      throw error
    }
  }

  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL')
    await this.#ended
  }

  async stop(): Promise<void> {
    this.#process?.kill('SIGTERM')
    // A process that is paused gets the signal then.
    this.#process?.kill('SIGCONT')
    await this.#ended
  }

  pause(): void {
    this.#running().kill('SIGSTOP')
  }

  resume(): void {
    this.#running().kill('SIGCONT')
  }

  async command(name: string, ...args: string[]): Promise<unknown> {
    this.#running()
    this.#client ??= this.#connect()
    return await this.#client.call(name, ...args)
  }

  async close(): Promise<void> {
    await this.kill()
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** Tells whether it is this process that answers, and no other server on its port. */
  async #answers(): Promise<boolean> {
    const asked = Promise.all([this.command('PING'), this.command('INFO', 'server')]).then(
      ([pong, info]) => pong === 'PONG' && includes(info, `process_id:${this.#process?.pid}\r\n`),
      // It does not listen yet, or is loading its data.
      () => false,
    )
    return await Promise.race([asked, this.#ended.then(() => false)])
  }

  #connect(): Redis {
    const client = new Redis({
      host: '127.0.0.1',
      port: this.port,
      ...(this.#password === undefined ? {} : { password: this.#password }),
      ...(this.tls === undefined ? {} : { tls: { ca: this.tls.ca } }),
      protocol: 2,
      enableReadyCheck: false,
      disableClientInfo: true,
      retryStrategy: () => null,
    })
    // The command that waits for the connection tells.
    client.on('error', () => {})
    client.once('end', () => {
      if (this.#client === client) this.#client = undefined
    })
    return client
  }

  #running(): ChildProcess {
    if (this.#process === undefined) throw new Error(`The Redis server on port ${this.port} does not run.`)
    return this.#process
  }
}

/** Waits for the condition; when the server ends meanwhile, or time is over, its log is part of the failure. */
async function ready(server: RedisServer & { readonly isRunning?: boolean }, condition: () => Promise<boolean>) {
  try {
    await until(() => {
      if (server.isRunning === false) throw new Error('The process has ended.')
      return condition()
    }, SOON)
  } catch (error) {
    const log = readFileSync(join(server.directory, 'redis.log'), 'utf8').trimEnd().split('\n').slice(-20)
    throw new Error(`The Redis server on port ${server.port} did not become ready.\n${log.join('\n')}`, {
      cause: error,
    })
  }
}

interface Ports {
  readonly port: number
  readonly busPort: number
}

function commonLines(directory: string): string[] {
  return ['bind 127.0.0.1', 'protected-mode no', 'daemonize no', 'logfile ""', `dir ${JSON.stringify(directory)}`]
}

function serverLines(mode: Mode, options: LaunchOptions, { port, busPort }: Ports): string[] {
  const { appendonly, requirepass, maxmemory, replicaof, tls, config = {} } = options
  const password = JSON.stringify(requirepass)
  return [
    'save ""',
    // By default a master waits 5 s for further replicas before it serves the first.
    'repl-diskless-sync-delay 0',
    ...(tls === true
      ? ['port 0', `tls-port ${port}`, 'tls-cert-file tls.crt', 'tls-key-file tls.key']
      : [`port ${port}`]),
    ...(tls === true ? ['tls-auth-clients no'] : []),
    ...(appendonly === undefined ? [] : ['appendonly yes', `appendfsync ${appendonly}`]),
    ...(requirepass === undefined ? [] : [`requirepass ${password}`, `masterauth ${password}`]),
    ...(maxmemory === undefined ? [] : [`maxmemory ${maxmemory}`, 'maxmemory-policy noeviction']),
    ...(replicaof === undefined ? [] : [`replicaof 127.0.0.1 ${replicaof.port}`]),
    ...(mode === 'cluster' ? ['cluster-enabled yes', `cluster-port ${busPort}`, 'cluster-node-timeout 2000'] : []),
    ...Object.entries(config).map(([name, value]) => `${name} ${value}`),
  ]
}

function sentinelLines({ master, masterName }: LaunchOptions, { port }: Ports): string[] {
  return [
    `port ${port}`,
    `sentinel monitor ${masterName} 127.0.0.1 ${master?.port} 2`,
    `sentinel down-after-milliseconds ${masterName} 1000`,
    `sentinel failover-timeout ${masterName} 3000`,
  ]
}

async function createCertificate(directory: string): Promise<{ readonly ca: string; readonly caFile: string }> {
  const caFile = join(directory, 'tls.crt')
  const what = ['req', '-x509', '-nodes', '-days', '2', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  const whom = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
  await promisify(execFile)('openssl', [...what, ...whom, '-out', caFile, '-keyout', join(directory, 'tls.key')])
  return { ca: readFileSync(caFile, 'utf8'), caFile }
}

/**
 * A port that nobody has. Not one that the system gives, which it also gives to outgoing connections: a client that
 * tries to reach a server that is down might then connect to itself, and a server that starts again find its port taken.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const probe = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false))
      probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}

async function isClusterOk(node: RedisServer, size: number): Promise<boolean> {
  const info = await node.command('CLUSTER', 'INFO')
  return includes(info, 'cluster_state:ok') && includes(info, `cluster_size:${size}\r\n`)
}

async function isComplete(sentinel: RedisServer, masterName: string, others: number): Promise<boolean> {
  const fields = (await sentinel.command('SENTINEL', 'MASTER', masterName)) as readonly string[]
  const field = (name: string): string | undefined => fields[fields.indexOf(name) + 1]
  return field('num-slaves') === '1' && field('num-other-sentinels') === String(others) && field('flags') === 'master'
}

function includes(reply: unknown, text: string): boolean {
  return String(reply).includes(text)
}

function addresses(servers: readonly RedisServer[]): string {
  return servers.map(({ port }) => `127.0.0.1:${port}`).join(',')
}

/** All of them, or none that still runs. */
async function all(starts: readonly Promise<Server>[]): Promise<readonly Server[]> {
  const outcomes = await Promise.allSettled(starts)
  const servers = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  const failure = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failure === undefined) return servers
  await closeAll(servers)
  throw failure.reason
}

async function closeAll(servers: readonly RedisServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.close()))
}
