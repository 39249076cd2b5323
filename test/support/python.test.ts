import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { isAlive } from '../cli/kit.ts'
import { engineSuite } from './engine-suite.ts'
import { pythonEngine, pythonEnvironments, runPython, startPythonWorker } from './python.ts'
import type { RedisServer } from './redis-server.ts'
import { redisEngine, startRedis } from './redis-server.ts'

const WORKER = `
import asyncio
import os
from taskiq import TaskiqEvents
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

url = os.environ["REDIS_URL"]
broker = ListQueueBroker(url).with_result_backend(RedisAsyncResultBackend(url))

@broker.task(task_name="add")
async def add(a: int, b: int) -> int:
    return a + b

# Signals are noticed when the loop wakes.
@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def keep_awake(state):
    async def tick():
        while True:
            await asyncio.sleep(0.1)
    state.ticking = asyncio.create_task(tick())
`

const CLIENT = `
import asyncio
from worker import add, broker

async def main():
    await broker.startup()
    task = await add.kiq(20, 22)
    result = await task.wait_result(timeout=10, check_interval=0.01)
    print(result.return_value)
    await broker.shutdown()

asyncio.run(main())
`

engineSuite("Python's Taskiq in tests", [pythonEngine, redisEngine], () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiq-python-'))
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
    writeFileSync(join(directory, 'worker.py'), WORKER)
  })
  afterAll(async () => {
    await redis.close()
    rmSync(directory, { recursive: true, force: true })
  })

  it('comes in two versions', () => {
    expect(pythonEnvironments()).toMatchObject([{ name: 'newest' }, { name: 'older' }])
  })

  describe.each(pythonEnvironments())('$name', ({ python, taskiq }) => {
    it('is the version of the requirements', async () => {
      const code = 'import importlib.metadata; print(importlib.metadata.version("taskiq"))'

      expect(await runPython(python, { code })).toBe(`${taskiq}\n`)
    })

    it('executes tasks in a worker, which stops', async () => {
      const env = { REDIS_URL: redis.url }
      const worker = await startPythonWorker({ python, module: 'worker:broker', directory, env })

      expect(await runPython(python, { code: CLIENT }, { cwd: directory, env })).toBe('42\n')
      expect(await worker.stop()).toBe('stopped')
      expect(isAlive(worker.pid)).toBe(false)
    })

    it('is killed with all worker processes', async () => {
      const env = { REDIS_URL: redis.url }
      const args = ['--workers', '2']
      const worker = await startPythonWorker({ python, module: 'worker:broker', directory, env, args })
      const pids = [...worker.output.matchAll(/worker-\d with pid (\d+)/g)].map((match) => Number(match[1]))
      expect(pids.filter(isAlive)).toHaveLength(2)

      await worker.kill()

      await until(() => ![worker.pid, ...pids].some(isAlive), { timeoutMs: 5_000 })
    })
  })

  it('tells why a worker did not start', async () => {
    const [{ python } = { python: '' }] = pythonEnvironments()

    await expect(startPythonWorker({ python, module: 'missing:broker', directory })).rejects.toThrow(
      "ModuleNotFoundError: No module named 'missing'",
    )
  })

  it('gives a program its input, and tells how it failed', async () => {
    const [{ python } = { python: '' }] = pythonEnvironments()
    const code = 'import sys; print(sys.stdin.read().upper(), sys.argv[1])'

    expect(await runPython(python, { code }, { input: 'kiq', args: ['one'] })).toBe('KIQ one\n')
    const file = join(directory, 'fails.py')
    writeFileSync(file, 'raise ValueError("no")')
    await expect(runPython(python, { file })).rejects.toThrow(/ended with 1:[^]+ValueError: no/)
  })
})
