import assert from 'node:assert/strict'

import { InMemoryBroker } from 'kiq'
import { setupInjection } from 'kiq/di'

import { Repo, Svc, Tx, kiqClasses } from './containers.mjs'

const BATCH = 100
const CONCURRENCY = 100

/** @typedef {{ readonly name: string, readonly run: (tasks: number) => Promise<void>, readonly stop: () => Promise<void> }} Subject */

/** The same empty task three times: what they differ in is what injection costs. */
export async function startSubjects() {
  const deps = { tx: Tx, repo: Repo, svc: Svc }
  const seen = new WeakSet()
  let injected = 0
  const without = await start('no container', { run: async () => {} })
  const unused = await start('a container, no deps', { run: async () => {}, container: kiqClasses() })
  const withDeps = await start('a container, three deps', {
    deps,
    container: kiqClasses(),
    run: async (/** @type {unknown} */ _input, /** @type {{ svc: Svc }} */ { svc }) => {
      if (!seen.has(svc)) injected += 1
      seen.add(svc)
    },
  })
  await withDeps.run(BATCH)
  assert.equal(injected, BATCH, 'every task gets values of its own')
  await withDeps.stop()
  const measured = await start('a container, three deps', { deps, container: kiqClasses(), run: async () => {} })
  return { without, unused, measured }
}

/**
 * @param {string} name
 * @param {{ readonly run: (...args: never[]) => Promise<void>, readonly deps?: import('kiq/di').Deps, readonly container?: import('kiq/di').Container }} options
 * @returns {Promise<Subject>}
 */
async function start(name, { run, deps, container }) {
  const broker = new InMemoryBroker({ maxAsyncTasks: CONCURRENCY, maxStoredResults: BATCH })
  const task = broker.task({ name: 'nothing', run, ...(deps ? { deps } : {}) })
  if (container) setupInjection(broker, container)
  await broker.startup()
  return {
    name,
    run: async (tasks) => {
      for (let i = 0; i < tasks; i += BATCH) {
        const sent = await task.kiqMany(Array.from({ length: BATCH }, (_, k) => [{ n: i + k }]))
        await Promise.all(sent.map((one) => one.result()))
      }
    },
    stop: () => broker.shutdown(),
  }
}
