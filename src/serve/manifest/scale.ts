import type { Plan } from './plan.ts'

export interface Scale {
  readonly kind: 'Deployment' | 'StatefulSet'
  readonly min: number
  readonly max: number
}

/** Pods, as Modal counts containers. */
export function scaleOf({ config, jobs }: Plan): Scale {
  const { minContainers, concurrencyLimit } = config.appSettings.deploymentConfig
  const min = Math.max(1, minContainers)
  return {
    kind: jobs.kind === 'file' ? 'StatefulSet' : 'Deployment',
    min,
    max: Math.max(min, concurrencyLimit ?? 1),
  }
}
