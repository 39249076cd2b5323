import type { QueueDepth } from '../../contract/index.ts'
import type { TaskDefinition } from '../../core/index.ts'
import { formatTable } from '../table.ts'

/** What `kiq info` tells; printed as it is by `--json`. */
export interface BrokerDescription {
  readonly broker: string
  readonly transport: string
  readonly defaultQueue: string
  readonly tasks: readonly TaskDescription[]
  /** `null` where the transport cannot tell. */
  readonly queues: readonly QueueDepth[] | null
}

export interface TaskDescription {
  readonly name: string
  /** How arguments travel: `positional` or `record`. */
  readonly style: string
  readonly queue: string
  readonly timeoutSeconds: number | null
  readonly ackType: string | null
  readonly isolate: string
}

export function describeTask(task: TaskDefinition, defaultQueue: string): TaskDescription {
  const queue = task.labels['queue_name']
  return {
    name: task.name,
    style: task.style,
    queue: typeof queue === 'string' ? queue : defaultQueue,
    timeoutSeconds: task.timeoutMs === undefined ? null : task.timeoutMs / 1000,
    ackType: task.ackType ?? null,
    isolate: task.isolate,
  }
}

export function formatDescription(description: BrokerDescription): string {
  const { broker, transport, tasks, queues } = description
  return [
    `${broker} on ${transport}, default queue ${description.defaultQueue}\n`,
    tasks.length === 0 ? 'No tasks. Name the modules that declare them after MODULE.\n' : taskTable(tasks),
    queues === null ? `The transport "${transport}" cannot tell how much is queued.\n` : queueTable(queues),
  ].join('\n')
}

function taskTable(tasks: readonly TaskDescription[]): string {
  return formatTable(
    ['TASK', 'STYLE', 'QUEUE', 'TIMEOUT', 'ACK', 'ISOLATE'],
    tasks.map(({ name, style, queue, timeoutSeconds, ackType, isolate }) => [
      name,
      style,
      queue,
      timeoutSeconds === null ? '-' : `${timeoutSeconds}s`,
      ackType ?? '-',
      isolate === 'none' ? '-' : isolate,
    ]),
  )
}

function queueTable(queues: readonly QueueDepth[]): string {
  if (queues.length === 0) return 'Nothing is queued.\n'
  return formatTable(
    ['QUEUE', 'READY', 'DELAYED', 'RUNNING', 'DEAD'],
    queues.map(({ queue, ready, delayed, running, dead }) => [queue, ...[ready, delayed, running, dead].map(String)]),
  )
}
