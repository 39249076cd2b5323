import { Option } from 'commander'
import type { Command } from 'commander'

import { loadBroker } from '../broker-module.ts'
import { EXIT } from '../exit-codes.ts'
import type { ExitCode } from '../exit-codes.ts'
import type { ModuleOptions } from '../module-options.ts'
import { addModuleOptions, moduleSettings, TARGET_HELP } from '../module-options.ts'
import { print } from '../print.ts'
import { describeInjection, formatReport } from './describe.ts'

interface CheckOptions extends ModuleOptions {
  readonly graph?: 'mermaid' | 'dot' | 'json' | undefined
  readonly explain?: string | undefined
  readonly json?: true | undefined
}

/** @param setExitCode - Told whether there are errors. */
export function addCheckCommand(program: Command, setExitCode: (code: ExitCode) => void): void {
  const command = program
    .command('check')
    .description('check what is injected into the tasks of a broker, and show it; starts nothing')
    .argument('<module[:broker]>', TARGET_HELP)
    .argument('[modules...]', 'more modules that declare tasks')
    .addOption(new Option('--graph <format>', 'print only the graph').choices(['mermaid', 'dot', 'json']))
    .option('--explain <name>', 'print only what this key, or task:NAME, is and needs')
    .option('--json', 'print JSON')
  addModuleOptions(command).action(async (target: string, modules: readonly string[], options: CheckOptions) => {
    const { broker } = await loadBroker(moduleSettings(target, modules, options))
    const { report, graph } = describeInjection(broker)
    const text = (): string => {
      if (options.explain !== undefined) return graph.explain(options.explain)
      if (options.graph === 'mermaid') return graph.toMermaid()
      if (options.graph === 'dot') return graph.toDot()
      return formatReport(report, graph)
    }
    if (options.graph === 'json') print({ json: true }, graph, text)
    else print(options, { ...report, graph }, text)
    if (report.problems.some(({ severity }) => severity === 'error')) setExitCode(EXIT.USAGE)
  })
}
