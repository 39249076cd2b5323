import { describe, expect, it } from 'vitest'

import { InferencePipeline } from '../pipeline.ts'
import { findPipeline } from './find-pipeline.ts'

abstract class Base extends InferencePipeline<unknown, unknown> {
  preprocess(): unknown {
    return []
  }
  predict(): unknown {
    return []
  }
  postprocess(): never[] {
    return []
  }
}
class Mine extends Base {}
class Other extends Base {}

const order = { module: 'app.ts', modelName: 'm', pipelineName: 'Mine' }

describe('findPipeline', () => {
  it('finds a class by its name, whatever it is exported as', () => {
    expect(findPipeline({ Other, Mine }, order)).toBe(Mine)
    expect(findPipeline({ default: Mine }, order)).toBe(Mine)
    expect(findPipeline({ Renamed: Mine }, order)).toBe(Mine)
    expect(findPipeline({ Mine: Other }, order)).toBe(Other)
  })

  it('finds what a service tells of the model', () => {
    const service = { servedPipelines: new Map([['m', Mine]]) }

    expect(findPipeline({ n: 1, service }, order)).toBe(Mine)
  })

  it('takes a class of another copy of this package', () => {
    const stages = { preprocess() {}, predict() {}, postprocess() {}, setup() {}, teardown() {} }
    const Mine = function Mine() {}
    Mine.prototype = stages

    expect(findPipeline({ Mine }, order)).toBe(Mine)
  })

  it('says what there is when it finds none', () => {
    expect(() => findPipeline({ Other }, order)).toThrow('no pipeline "Mine" for model "m"; its pipelines are Other.')
    expect(() => findPipeline({ a: 1, b: Date }, order)).toThrow('; its exports, none of them a pipeline, are a, b.')
    expect(() => findPipeline({}, order)).toThrow('it exports nothing')
    expect(() => findPipeline({ Mine: 5 }, order)).toThrow('its export of that name is 5')
    expect(() => findPipeline({ service: { servedPipelines: new Map([['n', Mine]]) } }, order)).toThrow('no pipeline')
  })
})
