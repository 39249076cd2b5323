import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

import { expect, it, onTestFinished } from 'vitest'

import { ListRedisScheduleSource } from '../../src/adapters/redis/index.ts'
import { Scheduler } from '../../src/scheduler/index.ts'
import { until } from '../../src/testing/until.ts'
import { diesWithTests } from '../support/dies-with-tests.ts'
import { runPython } from '../support/python.ts'
import type { Kit } from './kit.ts'
import { interop, SOON } from './kit.ts'

const PROGRAMS = join(import.meta.dirname, 'python')

interface Setting {
  readonly queue: string
  /** How schedules are written on both sides. */
  readonly format: 'json' | 'pickle'
}

interface RunningScheduler {
  readonly stop: () => Promise<void>
}

interop('schedulers of both languages on one source', (kit) => {
  it.each(['json', 'pickle'] as const)(
    'fire what either wrote, one after the other: %s',
    async (format) => {
      const setting = { queue: kit.queue(), format }
      const runs: string[] = []
      const broker = await kit.broker({ queue: setting.queue })
      const note = broker.task('both:note', (text: string) => void runs.push(text))
      await kit.work(broker)
      const source = new ListRedisScheduleSource({ url: kit.url, prefix: setting.queue, serializer: format })
      await source.startup()
      onTestFinished(() => source.shutdown())
      const count = (text: string): number => runs.filter((run) => run === text).length
      const again = async (...texts: readonly string[]): Promise<void> => {
        const before = texts.map(count)
        await until(() => texts.every((text, i) => count(text) >= (before[i] ?? 0) + 2), SOON)
      }

      // Ours fires what Python wrote.
      const ours = runOurs(kit, setting)
      await addByPython(kit, setting, 'py')
      await until(() => count('py time') === 1, SOON)
      await until(async () => !(await idsOf(source)).includes('py-time'), SOON)
      if (!kit.isOlder) await again('py interval')
      await note.kicker().withScheduleId('ts-interval').scheduleByInterval(source, '1s', 'ts interval')
      await again('ts interval')
      await ours.stop()

      // Python's fires what either wrote, ours the time that was added last.
      const python = runPythons(kit, setting)
      const once = await note.scheduleByTime(source, new Date(Date.now() + 4_000), 'ts time')
      await until(() => count('ts time') === 1, SOON)
      // Killed before it has deleted what it sent, it would leave that to the next.
      await until(async () => !(await idsOf(source)).includes(once.scheduleId), SOON)
      if (!kit.isOlder) await again('py interval', 'ts interval')
      await python.stop()

      // And ours again, which goes on.
      runOurs(kit, setting)
      await addByPython(kit, setting, 'more')
      await until(() => count('more time') === 1, SOON)
      await again('ts interval')
      expect([count('py time'), count('ts time'), count('more time')]).toEqual([1, 1, 1])
      const left = kit.isOlder ? ['more-cron', 'py-cron', 'ts-interval'] : ALL_LEFT
      await until(async () => (await idsOf(source)).join() === left.join(), SOON)
    },
    120_000,
  )
})

const ALL_LEFT = ['more-cron', 'more-interval', 'py-cron', 'py-interval', 'ts-interval']

function runOurs(kit: Kit, { queue, format }: Setting): RunningScheduler {
  const end = new AbortController()
  const running = (async () => {
    const broker = await kit.broker({ queue })
    const source = new ListRedisScheduleSource({ url: kit.url, prefix: queue, serializer: format })
    await new Scheduler(broker, [source], { lease: '2s', logger: kit.log }).run({ signal: end.signal })
  })()
  const stop = async (): Promise<void> => {
    end.abort()
    await running
  }
  onTestFinished(stop)
  return { stop }
}

/** `taskiq scheduler`; it knows no signal, and is killed. */
function runPythons(kit: Kit, setting: Setting): RunningScheduler {
  const command = ['-m', 'taskiq', 'scheduler', 'scheduler:scheduler', '--update-interval', '1']
  const child = spawn(kit.environment.python, command, { cwd: PROGRAMS, env: envOf(kit, setting), stdio: 'ignore' })
  diesWithTests(child)
  const ended = once(child, 'exit')
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  onTestFinished(stop)
  return { stop }
}

async function addByPython(kit: Kit, setting: Setting, name: string): Promise<void> {
  const program = { file: join(PROGRAMS, 'scheduler.py') }
  await runPython(kit.environment.python, program, { cwd: PROGRAMS, env: envOf(kit, setting), args: [name] })
}

function envOf(kit: Kit, { queue, format }: Setting): Record<string, string> {
  const broker = { url: kit.url, kind: 'stream', messages: 'default', results: 'json', retries: false, queue }
  const settings = { ...broker, options: {}, backend: {}, schedules: format, intervals: !kit.isOlder }
  return { ...(process.env as Record<string, string>), SETTINGS: JSON.stringify(settings) }
}

async function idsOf(source: ListRedisScheduleSource): Promise<readonly string[]> {
  return (await source.getSchedules()).map(({ scheduleId }) => scheduleId).sort()
}
