import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

import { describe, expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')

interface Manifest {
  readonly version: string
  readonly bin: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
}

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest
const entries = Object.entries(manifest.exports).flatMap(([path, target]) =>
  typeof target === 'string' ? [] : [[path.replace('.', 'kiq'), target] as const],
)

describe('the package', () => {
  it.each(entries)('has the files of %s', (_specifier, target) => {
    expect([target.types, target.default].filter((file) => !existsSync(join(ROOT, file)))).toEqual([])
  })

  it('exports something from every entry', async () => {
    const specifiers = entries.map(([specifier]) => specifier)
    const program = `
      const counts = {}
      for (const specifier of ${JSON.stringify(specifiers)}) counts[specifier] = Object.keys(await import(specifier)).length
      console.log(JSON.stringify(counts))
    `

    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      cwd: ROOT,
    })

    const counts = JSON.parse(stdout) as Record<string, number>
    expect(Object.keys(counts)).toEqual(specifiers)
    expect(Object.entries(counts).filter(([, count]) => count === 0)).toEqual([])
  })

  it.each(Object.entries(manifest.bin))('has a program %s that can be run', (_name, file) => {
    const path = join(ROOT, file)

    expect(readFileSync(path, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
    expect(() => accessSync(path, constants.X_OK)).not.toThrow()
  })

  it('was built without tests', () => {
    const files = readdirSync(join(ROOT, 'dist'), { recursive: true, encoding: 'utf8' })

    expect(files.filter((file) => /\.test(-d)?\./.test(file))).toEqual([])
  })

  it('has its version in CHANGELOG.md', () => {
    expect(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8')).toContain(`## [${manifest.version}]`)
  })
})
