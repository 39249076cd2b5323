import { describe, expect, it } from 'vitest'

import { withoutAliases } from './argv-aliases.ts'

describe('withoutAliases', () => {
  it.each([
    [
      ['worker', 'tasks.ts', '--workers', '3'],
      ['worker', 'tasks.ts', '--processes', '3'],
    ],
    [
      ['--max-async-tasks=7', '--max-prefetch=1'],
      ['--concurrency=7', '--prefetch=1'],
    ],
    [
      ['-fsd', '-tp', 'a/**/*.ts'],
      ['--fs-discover', '--tasks-pattern', 'a/**/*.ts'],
    ],
    [['-tp=a=b'], ['--tasks-pattern=a=b']],
    [
      ['-w', '2', '-r'],
      ['-w', '2', '-r'],
    ],
    [
      ['worker', '--', '--workers'],
      ['worker', '--', '--workers'],
    ],
    [
      ['serve', 'serve.ts', '--workers', '3'],
      ['serve', 'serve.ts', '--workers', '3'],
    ],
  ])('reads %j', (typed, meant) => {
    expect(withoutAliases(typed)).toEqual(meant)
  })
})
