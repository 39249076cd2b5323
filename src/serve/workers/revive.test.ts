import { describe, expect, it } from 'vitest'

import { ConfigError, KiqError } from '../../contract/index.ts'
import { toFailure } from '../../core/index.ts'
import { reviveError } from './revive.ts'

describe('an error that comes back from a worker', () => {
  it('has its name, message, code, stack and causes', () => {
    class ShapeError extends RangeError {
      override readonly name = 'ShapeError'
    }
    const error = Object.assign(new ShapeError('3 is not 4', { cause: new TypeError('deep') }), { code: 'E_SHAPE' })

    const revived = reviveError(toFailure(error))

    expect(revived).toMatchObject({ name: 'ShapeError', message: '3 is not 4', code: 'E_SHAPE', stack: error.stack })
    expect(revived.cause).toMatchObject({ name: 'TypeError', message: 'deep' })
  })

  it('is a KiqError again when its code is one', () => {
    const revived = reviveError(toFailure(new ConfigError('KIQ_CONFIG_INVALID', 'no')))

    expect(revived).toBeInstanceOf(KiqError)
    expect(revived).toMatchObject({ name: 'ConfigError', code: 'KIQ_CONFIG_INVALID', message: 'no' })
  })

  it('may have been anything that can be thrown', () => {
    expect(reviveError(toFailure('text'))).toMatchObject({ name: 'Error', message: 'text' })
  })
})
