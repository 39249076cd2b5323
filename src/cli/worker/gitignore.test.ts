import { describe, expect, it } from 'vitest'

import { parseGitignore } from './gitignore.ts'

describe('parseGitignore', () => {
  it.each([
    ['*.log', 'a.log', 'file', true],
    ['*.log', 'deep/in/a.log', 'file', true],
    ['*.log', 'a.log.ts', 'file', false],
    ['build/', 'build', 'directory', true],
    ['build/', 'build', 'file', false],
    ['build/', 'src/build/a.ts', 'file', true],
    ['/build', 'src/build/a.ts', 'file', false],
    ['/build', 'build/a.ts', 'file', true],
    ['src/gen', 'src/gen/a.ts', 'file', true],
    ['src/gen', 'x/src/gen/a.ts', 'file', false],
    ['**/gen', 'x/src/gen/a.ts', 'file', true],
    ['src/**/a.ts', 'src/a.ts', 'file', true],
    ['src/**/a.ts', 'src/x/y/a.ts', 'file', true],
    ['src/**', 'src/x/y/a.ts', 'file', true],
    ['src/*', 'src/x/a.ts', 'file', true],
    ['src/*.ts', 'src/x/a.ts', 'file', false],
    ['a?.ts', 'ab.ts', 'file', true],
    ['a?.ts', 'a/.ts', 'file', false],
    ['[ab].ts', 'b.ts', 'file', true],
    ['[!ab].ts', 'b.ts', 'file', false],
    ['[z-a].ts', 'b.ts', 'file', false],
    ['a.ts', 'a_ts', 'file', false],
    ['\\#a', '#a', 'file', true],
    ['#a', '#a', 'file', false],
    ['a.ts   ', 'a.ts', 'file', true],
    ['*.ts\n!keep.ts', 'keep.ts', 'file', false],
    ['*.ts\n!keep.ts', 'drop.ts', 'file', true],
    ['gen/\n!gen/keep.ts', 'gen/keep.ts', 'file', true],
    ['!keep.ts\r\n*.ts\r\n', 'keep.ts', 'file', true],
    ['', 'a.ts', 'file', false],
    ['(a|b).ts', '(a|b).ts', 'file', true],
  ] as const)('%j on %s (%s): %s', (text, path, kind, expected) => {
    expect(parseGitignore(text)(path, kind)).toBe(expected)
  })
})
