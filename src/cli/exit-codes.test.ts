import { describe, expect, it } from 'vitest'

import { ConfigError, KiqError } from '../contract/index.ts'
import { InjectionError, ProviderError } from '../di/index.ts'
import { ServeConfigError } from '../serve/index.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'

const missing = {
  code: 'KIQ_DI_MISSING',
  severity: 'error',
  path: ['X'],
  message: 'Missing.',
  hint: 'Bind it.',
} as const
const setting = new ConfigError('KIQ_CONFIG_INVALID', 'No such setting.')

const final: readonly (readonly [string, unknown])[] = [
  ['settings', setting],
  ['settings of a service', new ServeConfigError([])],
  ['what does not fit together', new InjectionError([missing])],
  ['settings that a provider reads', new ProviderError('KIQ_DI_PROVIDER_FAILED', ['X'], 'no', { cause: setting })],
]

const passing: readonly (readonly [string, unknown])[] = [
  ['a server that does not answer', new KiqError('KIQ_TRANSPORT_FAILED', 'No answer.')],
  ['what a transport cannot do', new ConfigError('KIQ_UNSUPPORTED', 'It cannot.')],
  [
    'a provider that may do it next time',
    new ProviderError('KIQ_DI_PROVIDER_FAILED', ['X'], 'no', { cause: new Error() }),
  ],
  ['anything else', 'text'],
]

describe('exitCodeOf', () => {
  it.each(final)('is that of %s which only a change can mend', (_what, error) => {
    expect(exitCodeOf(error)).toBe(EXIT.USAGE)
  })

  it.each(passing)('is that of %s', (_what, error) => {
    expect(exitCodeOf(error)).toBe(EXIT.FAILED)
  })
})
