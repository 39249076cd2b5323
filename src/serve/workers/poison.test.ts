import { describe, expect, it } from 'vitest'

import { isPoison, POISON } from './poison.ts'

describe('the errors that poison a worker', () => {
  it.each([
    'CUDA error: an illegal memory access was encountered',
    'CUDA failure 700: an illegal memory access was encountered ; GPU=0',
    'cudaErrorIllegalAddress',
    'device-side assert triggered',
    'CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm',
    'CUDNN_STATUS_MAPPING_ERROR',
    'CUDA out of memory. Tried to allocate 20.00 MiB',
    'HIP error: invalid device function',
    'HIP out of memory',
    'The device was lost',
  ])('include "%s"', (message) => {
    expect(isPoison(new Error(message), POISON)).toBe(true)
  })

  it.each(['no such file', 'out of memory', 'CUBLAS_STATUS_SUCCESS', 'the cuda provider is not there'])(
    'do not include "%s"',
    (message) => {
      expect(isPoison(new Error(message), POISON)).toBe(false)
    },
  )

  it('are found by name, and among causes', () => {
    class DeviceGone extends Error {
      override readonly name = 'DeviceGone'
    }

    expect(isPoison(new DeviceGone('x'), [/DeviceGone/])).toBe(true)
    expect(isPoison(new Error('forward failed', { cause: new Error('CUDA error: 2') }), POISON)).toBe(true)
    expect(isPoison('CUDA error', POISON)).toBe(false)
  })

  it('are found again by a pattern that has state', () => {
    const pattern = /lost/g
    const error = new Error('lost')

    expect([isPoison(error, [pattern]), isPoison(error, [pattern])]).toEqual([true, true])
  })

  it('do not keep it looking for ever when an error is its own cause', () => {
    const error = new Error('round')
    error.cause = error

    expect(isPoison(error, POISON)).toBe(false)
  })
})
