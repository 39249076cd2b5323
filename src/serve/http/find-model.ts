import { KiqError } from '../../contract/index.ts'
import { nearest } from '../../util/nearest.ts'
import type { ServiceModel } from '../service-model.ts'
import type { Call } from './environment.ts'
import { HttpError } from './problem.ts'

/**
 * The model that a request is for: of its path, of `?model_name=`, or the only one.
 *
 * @throws {KiqError} `KIQ_SERVE_MODEL_UNKNOWN` for a name that is not there.
 * @throws {HttpError} 422 without a name where there are several.
 */
export function findModel(c: Call, models: ReadonlyMap<string, ServiceModel>): ServiceModel {
  const name = c.req.param('model') ?? c.req.query('model_name')
  const [first] = models.values()
  const model = name === undefined ? (models.size === 1 ? first : undefined) : models.get(name)
  if (model !== undefined) {
    c.set('model', model.name)
    return model
  }
  const known = [...models.keys()]
  if (name === undefined) {
    throw new HttpError(422, `The request names no model. Add ?model_name= with one of ${known.join(', ')}.`)
  }
  throw unknownModel(name, known)
}

/** Of a name that anybody can send. */
const MAX_SHOWN = 100

export function unknownModel(name: string, known: readonly string[]): KiqError {
  const near = nearest(name, known)
  return new KiqError(
    'KIQ_SERVE_MODEL_UNKNOWN',
    `There is no model ${JSON.stringify(name.slice(0, MAX_SHOWN))}${near === undefined ? '.' : `; did you mean "${near}"?`} Use one of: ` +
      `${known.join(', ')}.`,
  )
}
