import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import type { Broker, Task } from 'kiq'

const ROOT = resolve(import.meta.dirname, '../..')

/** What `tasks.mjs` exports. */
export interface FaultTasks {
  readonly broker: Broker
  readonly work: Task<[n: number, ms: number], Promise<number>>
  readonly killer: Task<[], Promise<void>>
}

/** A user's project in a directory of its own: the tasks, and this repository as the installed package. */
export interface Project extends FaultTasks {
  readonly dir: string
  readonly supervisor: ChildProcess
  /** Stops the workers, and removes everything. */
  close(): Promise<void>
}

/** @param flags - Of `kiq worker`. */
export async function startProject(flags: readonly string[]): Promise<Project> {
  const dir = mkdtempSync(join(tmpdir(), 'kiq-fault-'))
  copyFileSync(join(import.meta.dirname, 'tasks.mjs'), join(dir, 'tasks.mjs'))
  mkdirSync(join(dir, 'node_modules'))
  symlinkSync(ROOT, join(dir, 'node_modules/kiq'))
  process.env['KIQ_FAULT_DIR'] = dir
  const tasks = (await import(join(dir, 'tasks.mjs'))) as FaultTasks
  const supervisor = spawn(process.execPath, [join(ROOT, 'dist/cli/main.js'), 'worker', 'tasks.mjs:broker', ...flags], {
    cwd: dir,
    env: { ...process.env, KIQ_FAULT_DIR: dir },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(supervisor, 'exit')
  await tasks.broker.startup()
  return {
    ...tasks,
    dir,
    supervisor,
    close: async () => {
      await tasks.broker.shutdown()
      supervisor.kill('SIGTERM')
      await ended
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
