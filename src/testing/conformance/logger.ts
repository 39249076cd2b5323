import { expect } from 'vitest'

import type { Logger, MaybePromise } from '../../contract/index.ts'
import { deepFreeze } from './freeze.ts'
import type { Contract, Subject } from './suite.ts'
import { describeContract } from './suite.ts'

/** How to exercise one logger; see {@link describeLogger}. */
export interface LoggerSubject extends Subject {
  /** Makes a logger that says everything, also what is for debugging. */
  readonly create: () => MaybePromise<Logger>
  /** Everything that a logger has written so far. Without it, only the calls are tested, not what comes of them. */
  readonly output?: ((logger: Logger) => MaybePromise<string>) | undefined
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

/** Registers the logger contract as vitest cases. */
export function describeLogger(subject: LoggerSubject): void {
  describeContract<Logger>(subject, {
    open: subject.create,
    register: (contract) => {
      registerCalls(contract)
      const { output } = subject
      if (output) registerOutput(contract, output)
    },
  })
}

function registerCalls(contract: Contract<Logger>): void {
  for (const level of LEVELS) {
    contract(`takes fields and a sentence at level ${level}`, async (logger) => {
      logger[level](deepFreeze({ taskId: 'id-1', count: 3, nested: { list: [1] } }), 'A task ended.')
      logger[level]({}, 'Nothing more is known.')
      logger[level]({}, '')
    })
  }

  contract('survives fields that are hard to write', async (logger) => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    const hard = { bigint: 2n ** 70n, nothing: undefined, run: () => 1, symbol: Symbol('s'), bytes: Uint8Array.of(255) }

    logger.error({ ...hard, cycle, err: new RangeError('broken', { cause: new Error('why') }) }, 'It broke.')
  })
}

function registerOutput(contract: Contract<Logger>, output: NonNullable<LoggerSubject['output']>): void {
  for (const level of LEVELS) {
    contract(`writes the fields and the sentence of ${level}`, async (logger) => {
      logger[level]({ taskId: 'id-with-a-unique-name' }, 'A sentence that nobody else says.')

      const text = await output(logger)
      expect(text).toContain('id-with-a-unique-name')
      expect(text).toContain('A sentence that nobody else says.')
    })
  }

  contract('writes the message of an error', async (logger) => {
    logger.error({ err: new RangeError('the unique reason') }, 'It broke.')

    expect(await output(logger)).toContain('the unique reason')
  })
}
