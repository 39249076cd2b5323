import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

import { describe, expect, it, onTestFinished } from 'vitest'

import { InMemoryBroker } from '../../../src/index.ts'
import { InferenceService, loadServeConfig } from '../../../src/serve/index.ts'
import { silentLogger } from '../../../src/contract/index.ts'
import { until } from '../../../src/testing/until.ts'
import { deferred } from '../../support/deferred.ts'
import { Input, Script, serveShouting, shoutingPipeline } from './kit.ts'

const SECONDS = { timeoutMs: 10_000 }

describe('health', () => {
  it.each(['/health', '/health/live', '/health/ready', '/health/startup', '/v2/health/live', '/v2/health/ready'])(
    '%s is told without a key',
    async (path) => {
      const { url } = await serveShouting()

      expect((await fetch(`${url}${path}`)).status).toBe(200)
    },
  )

  it('has an additional path by health_check_path', async () => {
    const { url } = await serveShouting({ settings: { deploymentConfig: { healthCheckPath: '/up' } } })

    expect(await (await fetch(`${url}/up`)).json()).toEqual({ status: 'ok', models: { shout: 'ready' } })
  })

  it('says that it lives, and nothing more, while models load', async () => {
    const loaded = deferred()
    class Slow extends shoutingPipeline(new Script()) {
      override async warmup(): Promise<void> {
        await loaded.promise
      }
    }
    const port = await freePort()
    const service = await makeService(Slow)
    const listening = service.listen({ port })
    onTestFinished(() => service.close({ timeout: 0 }))
    const status = async (path: string): Promise<number | undefined> =>
      await fetch(`http://127.0.0.1:${port}${path}`).then(
        (response) => response.status,
        () => undefined,
      )

    await until(async () => (await status('/health/live')) === 200, SECONDS)
    expect(await Promise.all(['/health/ready', '/health/startup'].map(status))).toEqual([503, 503])
    expect(await status('/predict_sync')).toBe(405)
    const early = await fetch(`http://127.0.0.1:${port}/predict_sync`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"text":"hi"}',
    })
    expect([early.status, early.headers.get('retry-after')]).toEqual([503, '1'])

    loaded.resolve()
    await listening
    expect(await Promise.all(['/health/ready', '/health/startup'].map(status))).toEqual([200, 200])
  })

  it('ends although a model loads for ever', async () => {
    class Hanging extends shoutingPipeline(new Script()) {
      override async setup(): Promise<void> {
        await new Promise(() => {})
      }
    }
    const port = await freePort()
    const service = await makeService(Hanging)
    service.listen({ port }).catch(() => undefined)
    await until(
      async () =>
        await fetch(`http://127.0.0.1:${port}/health/live`).then(
          ({ ok }) => ok,
          () => false,
        ),
      SECONDS,
    )

    await service.close({ timeout: 50 })

    await expect(fetch(`http://127.0.0.1:${port}/health/live`)).rejects.toThrow('fetch failed')
  })

  it('is not ready when a pipeline says so, and lives on', async () => {
    let isWell = true
    class Moody extends shoutingPipeline(new Script()) {
      override health(): boolean {
        return isWell
      }
    }
    const { get } = await serveShouting({ service: { pipeline: Moody } })
    expect((await get('/health/ready')).status).toBe(200)

    isWell = false

    await until(async () => (await get('/health/ready')).status === 503, SECONDS)
    expect((await get('/health/live')).status).toBe(200)
    isWell = true
    await until(async () => (await get('/health/ready')).status === 200, SECONDS)
  })

  it('fails the start, and frees the port, when a model cannot be loaded', async () => {
    class Broken extends shoutingPipeline(new Script()) {
      override setup(): void {
        throw new Error('no weights')
      }
    }
    const port = await freePort()
    const service = await makeService(Broken)

    await expect(service.listen({ port })).rejects.toThrow('no weights')

    await expect(fetch(`http://127.0.0.1:${port}/health/live`)).rejects.toThrow('fetch failed')
    await service.close()
  })

  it('names the address that is taken', async () => {
    const taken = createServer()
    taken.listen(0, '127.0.0.1')
    await once(taken, 'listening')
    onTestFinished(() => void taken.close())
    const { port } = taken.address() as AddressInfo
    const service = await makeService(shoutingPipeline(new Script()))
    onTestFinished(() => service.close())

    await expect(service.listen({ port })).rejects.toThrow(`The service cannot listen at 127.0.0.1, port ${port}: `)
  })
})

describe('the end of a service', () => {
  it('lets requests that have begun finish, and takes no more', async () => {
    const { post, script, server, url } = await serveShouting()
    const gate = deferred()
    script.gate = gate.promise
    const running = post('/predict_sync', { text: 'running' })
    await until(() => script.batches.length === 1, SECONDS)

    const closing = server.close({ timeout: '10s' })
    await until(
      async () =>
        await fetch(`${url}/health/live`).then(
          () => false,
          () => true,
        ),
      SECONDS,
    )
    gate.resolve()

    expect((await running).status).toBe(200)
    await closing
  })

  it('cuts off what is not done in time', async () => {
    const { send, script, server } = await serveShouting()
    const gate = deferred()
    script.gate = gate.promise
    const headers = { 'content-type': 'application/json' }
    const running = send('POST', '/predict_sync', { body: '{"text":"hangs"}', headers })
    const refused = expect(running).rejects.toThrow('fetch failed')
    await until(() => script.batches.length === 1, SECONDS)

    await server.close({ timeout: 50 })

    await refused
    gate.resolve()
  })
})

async function makeService(pipeline: ReturnType<typeof shoutingPipeline>) {
  const config = await loadServeConfig([], {
    env: {},
    logger: silentLogger,
    overrides: { appSettings: { appPrefix: 'shop' }, modelSettings: { modelEntries: { shout: {} } } },
  })
  const broker = new InMemoryBroker({ logger: silentLogger })
  return new InferenceService({ modelName: 'shout', pipeline, input: Input, config, broker, logger: silentLogger })
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
