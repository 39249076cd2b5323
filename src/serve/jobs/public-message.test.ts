import { describe, expect, it } from 'vitest'

import { KiqError } from '../../contract/index.ts'
import { publicMessage } from './public-message.ts'

describe('what callers read of an error', () => {
  it.each([
    'KIQ_SERVE_BUSY',
    'KIQ_SERVE_STOPPING',
    'KIQ_SERVE_TIMED_OUT',
    'KIQ_SERVE_WORKER_DIED',
    'KIQ_ARGUMENTS_INVALID',
  ] as const)('is a sentence of its own for %s', (code) => {
    const text = publicMessage(new KiqError(code, 'secret'), 'job 1')

    expect(text).not.toContain('secret')
    expect(text).not.toContain('job 1')
  })

  it.each([new Error('secret'), new KiqError('KIQ_PIPELINE_INVALID', 'secret'), 'secret', undefined])(
    'is where the log has the cause of all others',
    (error) => {
      expect(publicMessage(error, 'job 1')).toBe(
        'The model failed for this input. The log of the service has the cause, under job 1.',
      )
    },
  )
})
