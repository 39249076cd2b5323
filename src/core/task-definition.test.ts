import * as z from 'zod'
import { describe, expect, it } from 'vitest'

import type { TaskMessage } from '../contract/index.ts'
import type { DefinitionParts, TaskDefinition } from './task-definition.ts'
import { defineTask, fromWireArguments, parseAckType, schemaInput, toWireArguments } from './task-definition.ts'

const define = (parts: Partial<DefinitionParts> = {}): TaskDefinition =>
  defineTask({ name: 'add', style: 'positional', run: () => undefined, options: {}, ...parts })

const received = (args: readonly unknown[], kwargs: Readonly<Record<string, unknown>> = {}): TaskMessage => ({
  taskId: 'id',
  taskName: 'add',
  labels: {},
  args,
  kwargs,
})

describe('defineTask', () => {
  it('fills in what was not given', () => {
    const run = (): void => {}

    expect(defineTask({ name: 'add', style: 'positional', run, options: {} })).toEqual({
      name: 'add',
      style: 'positional',
      run,
      schema: undefined,
      deps: undefined,
      injected: undefined,
      labels: {},
      keepFailed: false,
      params: undefined,
      ackType: undefined,
      isolate: 'none',
      module: undefined,
      timeoutMs: undefined,
      resultTtlMs: undefined,
      schedules: [],
    })
  })

  it('turns timeout and queue into labels', () => {
    expect(define({ options: { timeout: '1m30s', queue: 'low' } })).toMatchObject({
      labels: { timeout: 90, queue_name: 'low' },
      timeoutMs: 90_000,
    })
  })

  it('lets a label win over the option of the same meaning', () => {
    expect(define({ options: { queue: 'low', labels: { queue_name: 'high' } } }).labels).toEqual({ queue_name: 'high' })
  })

  it('keeps the time a result lives in milliseconds', () => {
    expect(define({ options: { resultTtl: '1h' } }).resultTtlMs).toBe(3_600_000)
  })

  it.each([
    ['an empty name', { name: '' }],
    ['a name that is no text', { name: 5 as never }],
    ['a function that is none', { run: 'fn' as never }],
    ['a negative timeout', { options: { timeout: -1 } }],
    ['a timeout of nothing', { options: { timeout: 0 } }],
    ['a timeout without unit', { options: { timeout: '30' } }],
    ['an unknown ack type', { options: { ackType: 'later' as never } }],
    ['a time to live that is none', { options: { resultTtl: 'long' } }],
  ])('refuses %s', (_what, parts) => {
    expect(() => define(parts)).toThrow(expect.objectContaining({ name: 'ConfigError', code: 'KIQ_CONFIG_INVALID' }))
  })
})

describe('parseAckType', () => {
  it.each([
    ['when_received', 'when_received'],
    ['WHEN_EXECUTED', 'when_executed'],
    ['When_Saved', 'when_saved'],
    ['manual', 'manual'],
  ])('reads %s', (text, ackType) => {
    expect(parseAckType(text)).toBe(ackType)
  })

  it.each(['', 'never', 5, null, 'AcknowledgeType.MANUAL'])('refuses %j and names the known ones', (text) => {
    expect(() => parseAckType(text)).toThrow('Use one of: when_received, when_executed, when_saved, manual.')
  })
})

describe('toWireArguments', () => {
  it('sends positions as args', () => {
    expect(toWireArguments(define(), [1, 'x'], undefined)).toEqual({ args: [1, 'x'], kwargs: {} })
  })

  it('sends keywords beside positions', () => {
    expect(toWireArguments(define(), [1], { b: 2 })).toEqual({ args: [1], kwargs: { b: 2 } })
  })

  it('sends a record as kwargs, keywords over it', () => {
    expect(toWireArguments(define({ style: 'record' }), [{ a: 1, b: 1 }], { b: 2 })).toEqual({
      args: [],
      kwargs: { a: 1, b: 2 },
    })
  })

  it('sends no record as none', () => {
    expect(toWireArguments(define({ style: 'record' }), [], undefined)).toEqual({ args: [], kwargs: {} })
  })

  it.each([[1], ['x'], [null], [[1, 2]], [true]])('refuses %j as a record', (input) => {
    expect(() => toWireArguments(define({ style: 'record' }), [input], undefined)).toThrow(
      expect.objectContaining({ code: 'KIQ_ARGUMENTS_INVALID' }),
    )
  })

  it('refuses a bigint as a record with the same code', () => {
    expect(() => toWireArguments(define({ style: 'record' }), [5n], undefined)).toThrow(
      expect.objectContaining({ code: 'KIQ_ARGUMENTS_INVALID' }),
    )
  })
})

describe('schemaInput', () => {
  it('is the record of a record task and the positions of others', () => {
    const call = { args: [1], kwargs: { a: 1 } }

    expect(schemaInput(define({ style: 'record' }), call)).toEqual({ a: 1 })
    expect(schemaInput(define(), call)).toEqual([1])
  })
})

describe('fromWireArguments', () => {
  const named = define({ options: { params: ['a', 'b', 'c'] } })

  it.each([
    ['positions', received([1, 2]), [1, 2]],
    ['keywords', received([], { b: 2, a: 1 }), [1, 2]],
    ['both', received([1], { c: 3 }), [1, undefined, 3]],
    ['keywords that leave a gap', received([], { c: 3 }), [undefined, undefined, 3]],
    ['nothing', received([]), []],
    ['more positions than names', received([1, 2, 3, 4]), [1, 2, 3, 4]],
  ])('hands over %s', (_what, message, args) => {
    expect(fromWireArguments(named, message)).toEqual(args)
  })

  it.each([
    ['a keyword that is not a parameter', named, received([], { d: 1 }), 'Keyword "d"'],
    ['a keyword given by position too', named, received([1], { a: 1 }), 'was also given by position'],
    ['keywords of a task without names', define(), received([], { a: 1 }), 'the keyword(s) a'],
  ])('refuses %s', (_what, definition, message, why) => {
    expect(() => fromWireArguments(definition, message)).toThrow(
      expect.objectContaining({ code: 'KIQ_ARGUMENTS_INVALID', message: expect.stringContaining(why) as string }),
    )
  })

  const record = define({ style: 'record' })

  it.each([
    ['keywords', received([], { a: 1 }), { a: 1 }],
    ['one object by position', received([{ a: 1 }]), { a: 1 }],
    ['an object by position and keywords over it', received([{ a: 1, b: 1 }], { b: 2 }), { a: 1, b: 2 }],
    ['nothing', received([]), {}],
  ])('hands a record task %s as its record', (_what, message, input) => {
    expect(fromWireArguments(record, message)).toEqual([input])
  })

  it.each([[[1]], [['x']], [[null]], [[[1]]], [[{}, {}]]])('refuses the positions %j for a record', (args) => {
    expect(() => fromWireArguments(record, received(args))).toThrow(
      expect.objectContaining({ code: 'KIQ_ARGUMENTS_INVALID' }),
    )
  })

  it('hands over what the schema makes of a record', async () => {
    const schema = z.object({ n: z.coerce.number(), word: z.string().default('none') })
    const definition = define({ style: 'record', schema })

    expect(await fromWireArguments(definition, received([], { n: '5' }))).toEqual([{ n: 5, word: 'none' }])
  })

  it('hands over what the schema makes of positions', async () => {
    const definition = define({ schema: z.tuple([z.coerce.number(), z.string()]) })

    expect(await fromWireArguments(definition, received(['5', 'x']))).toEqual([5, 'x'])
  })

  it('lists every issue with its path', async () => {
    const definition = define({ style: 'record', schema: z.object({ a: z.object({ b: z.number() }), c: z.string() }) })

    await expect(fromWireArguments(definition, received([], { a: { b: 'x' } }))).rejects.toMatchObject({
      code: 'KIQ_ARGUMENTS_INVALID',
      message: expect.stringMatching(/received by task "add".*a\.b: .*; c: /) as string,
    })
  })
})
