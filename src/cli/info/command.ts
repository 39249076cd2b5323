import type { Command } from 'commander'

import type { Broker } from '../../core/index.ts'
import { withClient } from '../client.ts'
import type { ModuleOptions } from '../module-options.ts'
import { addModuleOptions, moduleSettings, TARGET_HELP } from '../module-options.ts'
import { print } from '../print.ts'
import type { BrokerDescription } from './describe.ts'
import { describeTask, formatDescription } from './describe.ts'

interface InfoOptions extends ModuleOptions {
  readonly json?: true | undefined
}

export function addInfoCommand(program: Command): void {
  const command = program
    .command('info')
    .description('show the tasks of a broker, and what is in its queues')
    .argument('<module[:broker]>', TARGET_HELP)
    .argument('[modules...]', 'more modules that declare tasks')
    .option('--json', 'print JSON')
  addModuleOptions(command).action(async (target: string, modules: readonly string[], options: InfoOptions) => {
    const description = await withClient(moduleSettings(target, modules, options), describe)
    print(options, description, () => formatDescription(description))
  })
}

async function describe(broker: Broker): Promise<BrokerDescription> {
  const queues = await broker.transport.inspect?.()
  return {
    broker: broker.constructor.name,
    transport: broker.transport.name,
    defaultQueue: broker.defaultQueue,
    tasks: broker.tasks.map((task) => describeTask(task, broker.defaultQueue)),
    queues: queues ? [...queues].sort((a, b) => (a.queue < b.queue ? -1 : 1)) : null,
  }
}
