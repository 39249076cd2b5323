import { describe, expect, it } from 'vitest'

import { parseGitignore } from './gitignore.ts'
import { isUnwatched } from './watch-rules.ts'

const gitignores = [{ dir: '/app', isIgnored: parseGitignore('out/\n*.tmp') }]

describe('isUnwatched', () => {
  it.each([
    ['/app/src/tasks.ts', false],
    ['/app/src/user.db.ts', false],
    ['/app/kiq.db', true],
    ['/app/kiq.db-wal', true],
    ['/app/data/jobs.sqlite3-journal', true],
    ['/app/.kiq/anything', true],
    ['/app/node_modules/x/index.js', true],
    ['/app/.git/HEAD', true],
    ['/app/dist/tasks.js', true],
    ['/app/out/a.ts', true],
    ['/app/src/a.tmp', true],
    ['/other/out/a.ts', false],
  ])('%s: %s', (path, expected) => {
    expect(isUnwatched(path, 'file', { modules: ['/app/src/../main.ts'], gitignores })).toBe(expected)
  })

  it('watches the folder of a module that was named, also where a rule says otherwise', () => {
    const rules = { modules: ['/app/dist/app/tasks.js'], gitignores }

    expect(isUnwatched('/app/dist', 'directory', rules)).toBe(false)
    expect(isUnwatched('/app/dist/app/util.js', 'file', rules)).toBe(false)
    expect(isUnwatched('/app/dist/other/x.js', 'file', rules)).toBe(true)
    expect(isUnwatched('/app/dist/app/kiq.db', 'file', rules)).toBe(true)
    expect(isUnwatched('/app/dist/app/node_modules/x.js', 'file', rules)).toBe(true)
  })
})
