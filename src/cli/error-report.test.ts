import { describe, expect, it } from 'vitest'

import { ConfigError, KiqError } from '../contract/index.ts'
import { formatReport, reportError } from './error-report.ts'
import { exitCodeOf } from './exit-codes.ts'

const OWN = { ownRoot: 'file:///app/node_modules/kiq/dist/' }

function failed(stack: string): Error {
  return Object.assign(new TypeError('x is null'), { stack })
}

describe('reportError', () => {
  it('finds the place in the code of the user', () => {
    const cause = failed(`TypeError: x is null
    at node:internal/modules/run_main:123:5
    at helper (file:///app/node_modules/lib/index.js:1:1)
    at Object.load (file:///app/node_modules/kiq/dist/core/load-module.js:30:1)
    at async make (file:///app/my%20tasks.ts:7:21)`)
    const error = new ConfigError('KIQ_MODULE_INVALID', 'It cannot be loaded: x is null', { cause })

    expect(reportError(error, OWN)).toMatchObject({
      code: 'KIQ_MODULE_INVALID',
      message: 'It cannot be loaded: x is null',
      location: '/app/my tasks.ts:7:21',
    })
  })

  it.each([
    ['file:///app/tasks.mjs:3\nimport {nope}\nSyntaxError: no', '/app/tasks.mjs:3'],
    ['Error: no\n    at /app/tasks.cjs:1:5', '/app/tasks.cjs:1:5'],
    ['Error: no\n    at Object.<anonymous> (/app/tasks.cjs:1:5)', '/app/tasks.cjs:1:5'],
    ['Error: no\n    at node:internal/x:1:2', undefined],
  ])('reads %j', (stack, location) => {
    expect(reportError(failed(stack), OWN).location).toBe(location)
  })

  it('reports what is no error', () => {
    expect(reportError('broken', OWN)).toEqual({
      code: undefined,
      message: 'broken',
      location: undefined,
      stack: undefined,
    })
  })

  it('survives a cause that is its own cause', () => {
    const error = new Error('round')
    error.cause = error

    expect(reportError(error, OWN).stack).toContain('round')
  })
})

describe('formatReport', () => {
  const report = {
    code: 'KIQ_MODULE_INVALID',
    message: 'No.',
    location: '/app/tasks.ts:1:2',
    stack: 'Error: No.\n  at',
  }

  it('prints code, message and place', () => {
    expect(formatReport(report, { stack: 'hide' })).toBe('kiq: KIQ_MODULE_INVALID: No.\n    at /app/tasks.ts:1:2\n')
  })

  it('prints the stack where it is asked for', () => {
    expect(formatReport({ ...report, code: undefined, location: undefined }, { stack: 'show' })).toBe(
      'kiq: No.\nError: No.\n  at\n',
    )
  })
})

describe('exitCodeOf', () => {
  it.each([
    [new ConfigError('KIQ_MODULE_INVALID', ''), 2],
    [new ConfigError('KIQ_UNSUPPORTED', ''), 1],
    [new KiqError('KIQ_TRANSPORT_FAILED', ''), 1],
    [new Error(''), 1],
    [Object.assign(new Error(''), { name: 'ConfigError', code: 'KIQ_PEER_MISSING' }), 2],
  ])('answers %o with %i', (error, code) => {
    expect(exitCodeOf(error)).toBe(code)
  })
})
