import type { Command } from 'commander'

import type { DeadLetters } from '../../contract/index.ts'
import { ConfigError } from '../../contract/index.ts'
import type { Broker } from '../../core/index.ts'
import { withClient } from '../client.ts'
import { moduleSettings, TARGET_HELP } from '../module-options.ts'
import { list, wholeNumber } from '../option-values.ts'
import { print } from '../print.ts'
import type { LetterOptions } from './letters.ts'
import { chosenLetters, formatLetters, letterFilter, letterToJson, LIST_LIMIT } from './letters.ts'

interface DeadOptions extends LetterOptions {
  readonly appDir: string
  readonly json?: true | undefined
}

export function addDeadCommand(program: Command): void {
  const dead = program.command('dead').description('list, retry or drop messages that were given up')
  addLetterCommand(dead, 'list', 'show dead letters, newest first').action(
    async (target: string, options: DeadOptions) => {
      await withLetters(target, options, async (letters) => {
        const { limit = LIST_LIMIT } = options
        const found = await letters.list({ ...letterFilter(options), limit })
        print(options, found.map(letterToJson), () =>
          formatLetters(found, { now: Date.now(), width: process.stdout.columns }),
        )
        if (found.length === limit) process.stderr.write(`Only the newest ${limit} were read; see --limit.\n`)
      })
    },
  )
  addLetterCommand(dead, 'retry', 'put dead letters back on their queues')
    .option('--all', 'every dead letter')
    .action(async (target: string, options: DeadOptions) => {
      const filter = chosenLetters('retry', options)
      await withLetters(target, options, async (letters) => {
        const retried = await letters.retry(filter)
        print(options, { retried }, () => `${retried} put back on their queues.\n`)
      })
    })
  addLetterCommand(dead, 'drop', 'delete dead letters for good')
    .option('--all', 'every dead letter')
    .action(async (target: string, options: DeadOptions) => {
      const filter = chosenLetters('drop', options)
      await withLetters(target, options, async (letters) => {
        const dropped = await letters.drop(filter)
        print(options, { dropped }, () => `${dropped} deleted.\n`)
      })
    })
}

function addLetterCommand(dead: Command, name: string, description: string): Command {
  return dead
    .command(name)
    .description(description)
    .argument('<module[:broker]>', TARGET_HELP)
    .option('--id <ids>', 'only these ids, separated by commas; repeatable', list)
    .option('--queue <queue>', 'only this queue')
    .option('--limit <count>', 'at most so many, newest first', wholeNumber(1))
    .option('-d, --app-dir <dir>', 'folder that the module is relative to', '.')
    .option('--json', 'print JSON')
}

async function withLetters(
  target: string,
  options: DeadOptions,
  work: (letters: DeadLetters) => Promise<void>,
): Promise<void> {
  await withClient(moduleSettings(target, [], options), async (broker) => await work(deadLettersOf(broker)))
}

function deadLettersOf({ transport }: Broker): DeadLetters {
  if (transport.deadLetters) return transport.deadLetters
  throw new ConfigError(
    'KIQ_UNSUPPORTED',
    `The transport "${transport.name}" keeps no dead letters. What it gives up is in the log of the worker.`,
  )
}
