import { describe, expect, it } from 'vitest'

import { InMemoryBroker } from '../adapters/memory/memory-broker.ts'
import { isBroker, parseTarget, selectExport } from './broker-module.ts'

describe('parseTarget', () => {
  it.each([
    ['tasks.ts', 'tasks.ts', undefined],
    ['./src/tasks.ts:broker', './src/tasks.ts', 'broker'],
    ['tasks.ts:$make_1', 'tasks.ts', '$make_1'],
    ['C:\\app\\tasks.ts', 'C:\\app\\tasks.ts', undefined],
    ['C:\\app\\tasks.ts:broker', 'C:\\app\\tasks.ts', 'broker'],
    ['file:///app/tasks.ts', 'file:///app/tasks.ts', undefined],
    ['file:///app/tasks.ts:default', 'file:///app/tasks.ts', 'default'],
  ])('reads %s', (text, module, exportName) => {
    expect(parseTarget(text)).toEqual({ module, exportName })
  })
})

describe('isBroker', () => {
  it('looks at the shape', () => {
    const shape = { task() {}, startup() {}, shutdown() {}, transport: {} }

    expect([new InMemoryBroker(), shape, { ...shape, transport: null }, {}, null, () => {}].map(isBroker)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ])
  })
})

describe('selectExport', () => {
  const broker = new InMemoryBroker()
  const other = new InMemoryBroker()
  const add = broker.task('add', () => 1)
  const select = (exports: Record<string, unknown>, exportName?: string) =>
    selectExport(exports, { module: 'm.ts', exportName })

  it('takes the only broker, whatever its names', () => {
    expect(select({ default: broker, app: broker, add })).toBe(broker)
  })

  it('takes the broker of a CommonJS module', () => {
    expect(select({ default: { broker, add } })).toBe(broker)
    expect(select({ default: { broker, add } }, 'broker')).toBe(broker)
  })

  it('takes the named broker or factory', () => {
    const make = (): InMemoryBroker => other
    expect(select({ broker, other, make }, 'other')).toBe(other)
    expect(select({ broker, other, make }, 'make')).toBe(make)
  })

  it.each([
    [{ add, n: 1 }, undefined, 'm.ts exports no broker (exports: add, n). Export one'],
    [{}, undefined, 'm.ts exports no broker (exports: nothing).'],
    [{ default: broker, a: broker, b: other }, undefined, 'm.ts exports 2 brokers: a, b. Name the one to use: m.ts:a.'],
    [{ broker }, 'brocker', 'm.ts exports nothing named "brocker" (exports: broker).'],
    [{ add }, 'add', 'The export "add" of m.ts is a task.'],
    [{ make: (url: string) => url }, 'make', 'is a function with parameters.'],
    [{ n: 1 }, 'n', 'is a number.'],
    [{ broker }, 'toString', 'exports nothing named "toString"'],
  ])('refuses %o with name %s', (exports, exportName, message) => {
    expect(() => select(exports, exportName)).toThrow(message)
  })
})
