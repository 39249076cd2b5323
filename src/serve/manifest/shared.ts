import { DRAIN_SECONDS } from './options.ts'
import type { Plan } from './plan.ts'
import { quoted } from './text.ts'
import type { Comment } from './yaml.ts'

/** Kubernetes goes on sending requests for a moment after it has told a container to stop. */
export const HANDOVER_SECONDS = 5

/** What closing takes after the last request. */
const CLOSING_SECONDS = 10

/** Seconds between the signal to stop and the end by force. */
export const STOP_SECONDS: number = HANDOVER_SECONDS + DRAIN_SECONDS + CLOSING_SECONDS

/** Compose and Kubernetes look for variables in texts, both with this sign, and take two of them as one. */
export function literal(value: string): string {
  return value.replaceAll('$', '$$$$')
}

/** A comment where there is something to say. */
export function note(at: Comment['at'], text: string | undefined): Comment | undefined {
  return text === undefined || text === '' ? undefined : { at, text }
}

export function gpuText({ gpus }: Plan): string | undefined {
  if (gpus.types.length === 0) return undefined
  return `Asked for: ${gpus.types.map(quoted).join(' or ')}.`
}

export function jobsText({ jobs }: Plan): string {
  switch (jobs.kind) {
    case 'file':
      return 'Jobs are in a file, which has to outlive the container.'
    case 'server':
      return 'Jobs are kept by the server of async_config.broker_url. In a container, localhost is the container itself.'
    case 'memory':
      return 'Jobs are in memory, as async_config.broker_url says: they end with the container.'
  }
}
