import type { Command } from 'commander'

import type { Scheduler } from '../../scheduler/index.ts'
import type { ModuleOptions } from '../module-options.ts'
import { addModuleOptions, moduleSettings } from '../module-options.ts'
import { list, wholeNumber } from '../option-values.ts'
import { print } from '../print.ts'
import { loadScheduler } from '../scheduler-module.ts'
import { SCHEDULER_HELP } from '../scheduler/command.ts'
import { formatRuns, formatSchedules, runToJson, scheduleToJson } from './describe.ts'

interface ScheduleOptions extends ModuleOptions {
  readonly json?: true | undefined
  readonly modules?: readonly string[] | undefined
}

interface NextOptions extends ScheduleOptions {
  readonly count: number
  readonly id?: string | undefined
}

export function addScheduleCommand(program: Command): void {
  const schedule = program.command('schedule').description('look at schedules, and change them')
  add(schedule, 'list', 'show all schedules, those that fire next first').action(
    async (target: string, options: ScheduleOptions) => {
      await withScheduler(target, options, async (scheduler) => {
        const all = await scheduler.list()
        print(options, all.map(scheduleToJson), () =>
          formatSchedules(all, { now: Date.now(), width: process.stdout.columns }),
        )
      })
    },
  )
  add(schedule, 'next', 'show the next firings')
    .option('-n, --count <count>', 'at most so many', wholeNumber(1, 10_000), 10)
    .option('--id <id>', 'only of this schedule')
    .action(async (target: string, options: NextOptions) => {
      await withScheduler(target, options, async (scheduler) => {
        const { count, id: scheduleId } = options
        const runs = await scheduler.upcoming({ count, scheduleId })
        print(options, runs.map(runToJson), () => formatRuns(runs, Date.now()))
      })
    })
  addChange(schedule, 'run', {
    description: 'send the task of a schedule now',
    work: async (scheduler, id) => ({ scheduleId: id, taskId: (await scheduler.fire(id)).taskId }),
    text: ({ taskId = '' }) => `Sent as task ${taskId}.\n`,
  })
  addChange(schedule, 'pause', {
    description: 'keep a schedule from firing',
    work: async (scheduler, id) => {
      await scheduler.pause(id)
      return { scheduleId: id, paused: true }
    },
    text: ({ scheduleId }) => `${scheduleId} is paused.\n`,
  })
  addChange(schedule, 'resume', {
    description: 'let a paused schedule fire again',
    work: async (scheduler, id) => {
      await scheduler.resume(id)
      return { scheduleId: id, paused: false }
    },
    text: ({ scheduleId }) => `${scheduleId} fires again.\n`,
  })
  addChange(schedule, 'remove', {
    description: 'delete a schedule from its source',
    work: async (scheduler, id) => {
      await scheduler.remove(id)
      return { scheduleId: id, removed: true }
    },
    text: ({ scheduleId }) => `${scheduleId} is deleted.\n`,
  })
}

interface Outcome {
  readonly scheduleId: string
  readonly taskId?: string
  readonly paused?: boolean
  readonly removed?: boolean
}

interface Change {
  readonly description: string
  readonly work: (scheduler: Scheduler, scheduleId: string) => Promise<Outcome>
  readonly text: (outcome: Outcome) => string
}

function addChange(schedule: Command, name: string, { description, work, text }: Change): void {
  add(schedule, name, description)
    .argument('<id>', 'of the schedule, as `kiq schedule list` shows it')
    .action(async (target: string, id: string, options: ScheduleOptions) => {
      await withScheduler(target, options, async (scheduler) => {
        const outcome = await work(scheduler, id)
        print(options, outcome, () => text(outcome))
      })
    })
}

function add(schedule: Command, name: string, description: string): Command {
  const command = schedule
    .command(name)
    .description(description)
    .argument('<module[:scheduler]>', SCHEDULER_HELP)
    .option('--modules <modules>', 'more modules that declare tasks, separated by commas; repeatable', list)
    .option('--json', 'print JSON')
  return addModuleOptions(command)
}

async function withScheduler(
  target: string,
  options: ScheduleOptions,
  work: (scheduler: Scheduler) => Promise<void>,
): Promise<void> {
  const { scheduler } = await loadScheduler(moduleSettings(target, options.modules ?? [], options))
  await scheduler.startup()
  try {
    await work(scheduler)
  } finally {
    await scheduler.shutdown()
  }
}
