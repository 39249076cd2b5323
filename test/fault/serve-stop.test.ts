import { describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { isAlive } from '../cli/kit.ts'
import type { FaultServer, ServeSetting } from './serve-project.ts'
import { areGone, ServeProject, SOON } from './serve-project.ts'

/** Resolves when the server takes no more connections. */
async function isClosing({ url }: FaultServer): Promise<void> {
  await until(
    async () =>
      await fetch(`${url}/health/live`, { headers: { connection: 'close' } }).then(
        async (response) => {
          await response.body?.cancel()
          return false
        },
        () => true,
      ),
    SOON,
  )
}

describe('a server that is told to stop', () => {
  it.each([
    ['in its own process', {}],
    ['in processes', { workers: { min: 2, max: 2 } }],
    ['in threads', { workers: { kind: 'thread', min: 2, max: 2 } }],
  ] satisfies [string, ServeSetting][])(
    'answers what runs, ends with code 0 and leaves nothing behind, with pipelines %s',
    async (_where, setting) => {
      const project = new ServeProject({ ...setting, settings: { batchConfig: { maxBatchSize: 2, waitMs: 20 } } })
      const server = await project.server()
      const workers = server.workers
      const texts = ['gate 1', 'gate 2', 'gate 3', 'gate 4']
      const requests = texts.map(async (text) => await server.predict(text))
      await project.heard('start', 'gate 1')
      const id = await server.submit('gate job')
      await server.inState(id, 'running')
      const followed = fetch(`${server.url}/jobs/${id}/events`).then(async (response) => await response.text())
      await until(async () => (await server.metric('kiq_serve_requests_in_progress')) >= 1, SOON)

      server.run.signal('SIGTERM')
      await isClosing(server)
      expect(isAlive(server.run.pid)).toBe(true)
      project.open('gate')

      expect(await Promise.all(requests)).toMatchObject(
        texts.map((text) => ({ status: 200, body: { shout: text.toUpperCase() } })),
      )
      expect(await server.run.exit).toBe(0)
      await areGone(workers)
      expect(server.run.stderr).not.toMatch(/error/i)
      expect(await followed.catch(() => 'event: state')).toContain('event: state')
      // The job is done, or waits for the next server.
      const next = await project.server()
      await next.inState(id, 'succeeded')
      expect(project.queue('done').map(({ job_id }) => job_id)).toEqual([id])
    },
    90_000,
  )

  it('ends at once when it has nothing to do, also with connections that are kept', async () => {
    const project = new ServeProject({ workers: { min: 1, max: 1 } })
    const server = await project.server()
    const workers = server.workers
    expect((await server.predict('a')).status).toBe(200)

    const began = performance.now()
    server.run.signal('SIGTERM')

    expect(await server.run.exit).toBe(0)
    expect(performance.now() - began).toBeLessThan(5_000)
    await areGone(workers)
  }, 60_000)

  it('leaves jobs that wait to the next one', async () => {
    const project = new ServeProject({ settings: { batchConfig: { maxBatchSize: 1 } } })
    const server = await project.server()
    const ids = await Promise.all(Array.from({ length: 30 }, async (_, n) => await server.submit(`gate ${n}`)))
    await until(() => project.events.length > 0, SOON)

    server.run.signal('SIGTERM')
    await isClosing(server)
    project.open('gate')
    expect(await server.run.exit).toBe(0)
    const next = await project.server()

    for (const id of ids) await next.inState(id, 'succeeded')
    expect(
      project
        .queue('done')
        .map(({ job_id }) => job_id)
        .toSorted(),
    ).toEqual(ids.toSorted())
  }, 90_000)
})

describe('a server that is killed', () => {
  it('takes its workers along', async () => {
    const project = new ServeProject({ workers: { min: 2, max: 2 } })
    const server = await project.server()
    const hanging = server.predict('hang')
    hanging.catch(() => undefined)
    await project.heard('start', 'hang')
    const workers = server.workers
    expect(workers).toHaveLength(2)

    await server.kill()

    await areGone(workers)
  }, 60_000)
})
