import { describe, expect, it } from 'vitest'

import type { LogRecord } from './protocol.ts'
import { LOG_WINDOW } from './protocol.ts'
import { RemoteLog } from './remote-log.ts'

describe('the log of a worker', () => {
  it('sends fields as data, errors as such, and the rest as text', () => {
    const sent: LogRecord[] = []
    const log = new RemoteLog((record) => sent.push(record))

    log.error({ err: new RangeError('x'), n: 1, f: () => 1, deep: { f: () => 1 } }, 'text')

    expect(sent).toMatchObject([
      {
        level: 'error',
        message: 'text',
        fields: { n: 1, f: '[function f]', deep: '{}' },
        errors: { err: { name: 'RangeError', message: 'x' } },
      },
    ])
  })

  it('drops what the host cannot keep up with, and says how much', () => {
    const sent: LogRecord[] = []
    const log = new RemoteLog((record) => sent.push(record))
    for (let n = 0; n < LOG_WINDOW + 5; n += 1) log.info({ n }, 'line')
    expect(sent).toHaveLength(LOG_WINDOW)

    log.logged(100)
    log.debug({}, 'after')

    expect(sent.slice(LOG_WINDOW)).toMatchObject([
      { level: 'warn', fields: { dropped: 5 } },
      { level: 'debug', message: 'after' },
    ])
  })
})
