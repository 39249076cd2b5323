import { ConfigError } from '../../contract/index.ts'
import type { PipelineClass } from '../in-process-host.ts'
import { hasPipelines } from '../pipelines-of.ts'
import { show } from '../../util/show.ts'
import type { WorkerOrder } from './protocol.ts'

const STAGES = ['preprocess', 'predict', 'postprocess', 'setup', 'teardown'] as const

/**
 * The class of a pipeline among the exports of its module: by its name, else by what an exported service tells of the
 * model.
 *
 * @throws {ConfigError} `KIQ_MODULE_INVALID`, naming what there is.
 */
export function findPipeline(
  exports: Readonly<Record<string, unknown>>,
  order: Pick<WorkerOrder, 'module' | 'modelName' | 'pipelineName'>,
): PipelineClass<unknown, unknown> {
  const { module, modelName, pipelineName } = order
  const entries = Object.entries(exports)
  for (const [key, value] of entries) {
    if (isPipelineClass(value) && (value.name === pipelineName || key === pipelineName)) return value
  }
  for (const [, value] of entries) {
    const found = hasPipelines(value) ? value.servedPipelines.get(modelName) : undefined
    if (found) return found
  }
  throw new ConfigError(
    'KIQ_MODULE_INVALID',
    `The module ${module} exports no pipeline "${pipelineName}" for model "${modelName}"${whatThereIs(exports, pipelineName)}. ` +
      'Export the class, or the service that has it.',
  )
}

function whatThereIs(exports: Readonly<Record<string, unknown>>, pipelineName: string): string {
  if (Object.hasOwn(exports, pipelineName)) {
    return `: its export of that name is ${show(exports[pipelineName])} and does not extend InferencePipeline`
  }
  const names = Object.entries(exports).flatMap(([key, value]) => (isPipelineClass(value) ? [value.name || key] : []))
  if (names.length > 0) return `; its pipelines are ${names.join(', ')}`
  const others = Object.keys(exports)
  return others.length > 0 ? `; its exports, none of them a pipeline, are ${others.join(', ')}` : '; it exports nothing'
}

/** By its methods: a module may extend the `InferencePipeline` of another installed copy of this package. */
function isPipelineClass(value: unknown): value is PipelineClass<unknown, unknown> {
  if (typeof value !== 'function') return false
  const prototype = value.prototype as unknown
  if (typeof prototype !== 'object' || prototype === null) return false
  return STAGES.every((stage) => typeof (prototype as Record<string, unknown>)[stage] === 'function')
}
