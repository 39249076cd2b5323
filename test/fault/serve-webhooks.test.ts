import { once } from 'node:events'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { describe, expect, it, onTestFinished } from 'vitest'

import { until } from '../../src/testing/until.ts'
import type { FaultServer } from './serve-project.ts'
import { ServeProject, SOON } from './serve-project.ts'

interface Receiver {
  readonly url: string
  /** Ids of the webhooks that came, by their path. */
  readonly ids: (path: string) => readonly string[]
}

/** A server that does with each path what the test says; others are answered 204. */
async function receiver(
  paths: Readonly<Record<string, (response: ServerResponse, count: number) => void>> = {},
): Promise<Receiver> {
  const ids = new Map<string, string[]>()
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    request.resume().on('end', () => {
      const known = ids.get(path) ?? []
      ids.set(path, known)
      known.push(String(request.headers['webhook-id']))
      const answer = paths[path]
      if (answer) answer(response, known.length)
      else response.writeHead(204).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = (): void => {
    server.closeAllConnections()
    server.close()
  }
  onTestFinished(close)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ids: (path) => ids.get(path) ?? [],
  }
}

/** A URL at which nobody listens. */
async function refusingUrl(): Promise<string> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}/`
}

async function delivered(server: FaultServer, id: string): Promise<number | undefined> {
  return await until(async () => {
    const { webhook } = await server.job(id)
    return webhook?.state === 'delivered' ? webhook.attempts : undefined
  }, SOON)
}

describe('a webhook whose receiver', () => {
  it('fails a few times is delivered later, once, while its job has long succeeded', async () => {
    const hooks = await receiver({ '/flaky': (response, count) => response.writeHead(count < 3 ? 500 : 200).end() })
    const server = await new ServeProject().server()

    const id = await server.submit('a', { webhook: { url: `${hooks.url}/flaky` } })

    await server.inState(id, 'succeeded')
    expect(hooks.ids('/flaky').length).toBeLessThan(3)
    expect(await delivered(server, id)).toBe(3)
    expect(hooks.ids('/flaky')).toHaveLength(3)
    expect(new Set(hooks.ids('/flaky')).size).toBe(1)
  }, 60_000)

  it('refuses connections stays pending, and holds up nothing', async () => {
    const url = await refusingUrl()
    const hooks = await receiver()
    const server = await new ServeProject().server()
    const refused = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => await server.submit(`${n}`, { webhook: { url } })),
    )

    const ids = await Promise.all(Array.from({ length: 20 }, async (_, n) => await server.submit(`more ${n}`)))
    for (const id of [...refused, ...ids]) await server.inState(id, 'succeeded')
    const good = await server.submit('good', { webhook: { url: `${hooks.url}/good` } })

    expect(await delivered(server, good)).toBe(1)
    await until(async () => ((await server.job(refused[0] ?? '')).webhook?.attempts ?? 0) >= 1, SOON)
    expect(await server.job(refused[0] ?? '')).toMatchObject({
      webhook: { state: 'pending', error: 'The server cannot be reached (ECONNREFUSED).' },
    })
  }, 60_000)

  it('never answers holds up neither jobs nor, for long, other webhooks', async () => {
    const hooks = await receiver({ '/hangs': () => {} })
    const server = await new ServeProject({ settings: { batchConfig: { maxBatchSize: 1 } } }).server()
    const hung = await Promise.all(
      Array.from(
        { length: 12 },
        async (_, n) => await server.submit(`${n}`, { webhook: { url: `${hooks.url}/hangs` } }),
      ),
    )
    for (const id of hung) await server.inState(id, 'succeeded')
    await until(() => hooks.ids('/hangs').length >= 8, SOON)

    const good = await server.submit('good', { webhook: { url: `${hooks.url}/good` } })
    await server.inState(good, 'succeeded')
    const ids = await Promise.all(Array.from({ length: 20 }, async (_, n) => await server.submit(`more ${n}`)))
    for (const id of ids) await server.inState(id, 'succeeded')
    expect((await server.predict('at once')).status).toBe(200)

    expect(await delivered(server, good)).toBe(1)
  }, 90_000)

  it('sends an answer without end has it cut off', async () => {
    const hooks = await receiver({
      '/endless': (response) => {
        response.writeHead(200)
        const timer = setInterval(() => response.write('x'.repeat(10_000)), 1)
        response.on('close', () => clearInterval(timer))
      },
    })
    const server = await new ServeProject().server()

    const id = await server.submit('a', { webhook: { url: `${hooks.url}/endless` } })

    expect(await delivered(server, id)).toBe(1)
  }, 60_000)
})

describe('a webhook that is pending', () => {
  it('is delivered by the next server when its own is killed', async () => {
    let isFailing = true
    const hooks = await receiver({ '/late': (response) => response.writeHead(isFailing ? 503 : 200).end() })
    const project = new ServeProject()
    const first = await project.server()
    const id = await first.submit('a', { webhook: { url: `${hooks.url}/late` } })
    await first.inState(id, 'succeeded')
    await until(() => hooks.ids('/late').length > 0, SOON)

    await first.kill()
    isFailing = false
    const second = await project.server()

    await delivered(second, id)
    expect(new Set(hooks.ids('/late')).size).toBe(1)
    expect(await second.job(id)).toMatchObject({ state: 'succeeded' })
  }, 60_000)

  it('does not keep a server from stopping', async () => {
    const hooks = await receiver({ '/hangs': () => {} })
    const project = new ServeProject()
    const server = await project.server()
    const id = await server.submit('a', { webhook: { url: `${hooks.url}/hangs` } })
    await server.inState(id, 'succeeded')
    await until(() => hooks.ids('/hangs').length === 1, SOON)

    const began = performance.now()
    server.run.signal('SIGTERM')

    expect(await server.run.exit).toBe(0)
    expect(performance.now() - began).toBeLessThan(8_000)
  }, 60_000)
})
