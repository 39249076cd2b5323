import { resolve } from 'node:path'

import { describe, expect, it } from 'vitest'

import { DEFAULT_PATTERNS } from '../discover.ts'
import { workerSettings } from './options.ts'
import type { WorkerFlags } from './options.ts'

const FLAGS: WorkerFlags = {
  appDir: '.',
  processes: 4,
  concurrency: 10,
  prefetch: 2,
  maxFails: -1,
  waitTasksTimeout: 30_000,
  shutdownTimeout: 5_000,
  abortGrace: 1_000,
  startTimeout: 120_000,
  hardkillCount: 3,
  logLevel: 'info',
  healthHost: '127.0.0.1',
}

function settings(flags: Partial<WorkerFlags>, terminal = { isTTY: false, noColor: false }) {
  return workerSettings('tasks.ts:broker', ['more.ts'], { ...FLAGS, ...flags }, terminal)
}

describe('workerSettings', () => {
  it('hands the options to the children', () => {
    expect(settings({ queues: ['a'], ackType: 'manual', maxTasksPerChild: 5 })).toEqual({
      processes: 4,
      maxFails: -1,
      hardkillCount: 3,
      child: {
        modules: {
          target: { module: 'tasks.ts', exportName: 'broker' },
          modules: ['more.ts'],
          patterns: undefined,
          appDir: resolve('.'),
        },
        log: { level: 'info', format: 'json', color: 'off' },
        deadlines: { waitTasksMs: 30_000, abortGraceMs: 1_000, shutdownMs: 5_000, startMs: 120_000 },
        queues: ['a'],
        concurrency: 10,
        prefetch: 2,
        ackType: 'manual',
        maxDeliveries: undefined,
        withScheduler: false,
        maxTasks: 5,
      },
      reload: undefined,
      health: undefined,
    })
  })

  it('runs one process under --reload', () => {
    expect(settings({ reload: true })).toMatchObject({ processes: 1, reload: { dirs: ['.'], gitignore: 'use' } })
    expect(settings({ reload: true, reloadDir: ['src'], doNotUseGitignore: true }).reload).toEqual({
      dirs: ['src'],
      gitignore: 'ignore',
    })
  })

  it('looks for tasks.* unless told for what', () => {
    expect(settings({ fsDiscover: true }).child.modules.patterns).toEqual(DEFAULT_PATTERNS)
    expect(settings({ fsDiscover: true, tasksPattern: ['a.ts'] }).child.modules.patterns).toEqual(['a.ts'])
    expect(settings({ tasksPattern: ['a.ts'] }).child.modules.patterns).toBeUndefined()
  })

  it('writes for people in a terminal', () => {
    const terminal = { isTTY: true, noColor: false }
    expect(settings({}, terminal).child.log).toEqual({ level: 'info', format: 'pretty', color: 'on' })
    expect(settings({}, { ...terminal, noColor: true }).child.log.color).toBe('off')
    expect(settings({ logFormat: 'json' }, terminal).child.log.format).toBe('json')
  })

  it('serves health checks when there is a port', () => {
    expect(settings({ healthPort: 0 }).health).toEqual({ host: '127.0.0.1', port: 0 })
  })
})
