import { ConfigError } from '../../contract/index.ts'
import type { Broker } from '../../core/index.ts'
import { createContainer } from '../../di/index.ts'
import type { Graph, Problem } from '../../di/index.ts'
import type { ContainerInjector } from '../../di/injector.ts'

/** What `kiq check` finds; printed by `--json`, with the graph. */
export interface CheckReport {
  /** Names of the tasks that the broker can execute. */
  readonly tasks: readonly string[]
  /** Whether the broker has a container. */
  readonly hasContainer: boolean
  readonly problems: readonly Problem[]
}

export interface Checked {
  readonly report: CheckReport
  readonly graph: Graph
}

/** @throws {ConfigError} `KIQ_DI_NOT_SET_UP` when tasks ask for what nobody has. */
export function describeInjection(broker: Broker): Checked {
  const tasks = broker.tasks.filter(({ run }) => run !== undefined)
  const injector = ownInjector(broker)
  if (injector === undefined) {
    broker.checkInjection()
    const graph = createContainer().graph(tasks.map((definition) => ({ definition })))
    return { report: { tasks: tasks.map(({ name }) => name), hasContainer: false, problems: [] }, graph }
  }
  const problems = injector.problems(tasks)
  const graph = injector.container.graph(tasks.map((definition) => ({ definition })))
  return { report: { tasks: tasks.map(({ name }) => name), hasContainer: true, problems }, graph }
}

/** By its shape: the module may import another copy of this package. */
function ownInjector(broker: Broker): ContainerInjector | undefined {
  const { injector } = broker.parts
  if (injector === undefined) return undefined
  if ('problems' in injector && 'container' in injector) return injector as ContainerInjector
  throw new ConfigError(
    'KIQ_UNSUPPORTED',
    'The broker has an injector that is not of setupInjection(), so what it injects cannot be shown.',
  )
}

export function formatReport(report: CheckReport, graph: Graph): string {
  const trees = report.tasks.map((name) => graph.explain(`task:${name}`))
  return [...trees, ...report.problems.map(formatProblem), summary(report)].join('\n')
}

function formatProblem({ severity, code, message, hint }: Problem): string {
  return `${severity} ${code}\n  ${message}\n  ${hint}\n`
}

function summary({ hasContainer, problems }: CheckReport): string {
  if (!hasContainer) return 'The broker has no container, and no task asks for anything.\n'
  const count = (severity: Problem['severity'], name: string): string => {
    const number = problems.filter((problem) => problem.severity === severity).length
    return `${number} ${name}${number === 1 ? '' : 's'}`
  }
  if (problems.every(({ severity }) => severity === 'info')) {
    return `Everything fits together${problems.length === 0 ? '' : `; ${count('info', 'note')}`}.\n`
  }
  return `${count('error', 'error')}, ${count('warning', 'warning')}, ${count('info', 'note')}.\n`
}
