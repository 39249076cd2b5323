import type { LogFormat } from '../log.ts'
import type { WorkerFacts } from './messages.ts'

/** Tasks named in the banner. */
const NAMES = 5

export interface BannerFacts extends WorkerFacts {
  readonly processes: number
  readonly concurrency: number
}

export interface LogLine {
  readonly fields: object
  readonly message: string
}

/** The first lines of a worker: fields of one record for machines, text for people. */
export function bannerLines(facts: BannerFacts, format: LogFormat): readonly LogLine[] {
  const { broker, transport, queues, tasks, processes, concurrency } = facts
  if (format === 'json') {
    const fields = {
      broker,
      transport,
      queues,
      taskCount: tasks.length,
      tasks: tasks.slice(0, NAMES),
      processes,
      concurrency,
    }
    return [{ fields, message: 'The worker takes tasks.' }]
  }
  const more = tasks.length > NAMES ? `, … ${tasks.length - NAMES} more` : ''
  const named = tasks.length === 0 ? '' : `: ${tasks.slice(0, NAMES).join(', ')}${more}`
  return [
    `broker   ${broker} on ${transport}`,
    `queues   ${queues.join(', ')}`,
    `tasks    ${tasks.length}${named}`,
    `running  ${processes} process(es) × ${concurrency} task(s) at once`,
  ].map((message) => ({ fields: {}, message }))
}
