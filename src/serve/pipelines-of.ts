import type { PipelineClass } from './in-process-host.ts'

/** A service, as worker processes look for it in their module: it tells which class serves which model. */
export interface HasPipelines {
  readonly servedPipelines: ReadonlyMap<string, PipelineClass<never, unknown>>
}

/** By its shape: the module may have loaded another copy of the package. */
export function hasPipelines(value: unknown): value is HasPipelines {
  if (typeof value !== 'object' || value === null || !('servedPipelines' in value)) return false
  return value.servedPipelines instanceof Map
}
