import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

import { describe, expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')
const PAGES = {
  'docs/worker.md': ['worker', 'info', 'check', 'dead list', 'dead retry', 'dead drop'],
  'docs/scheduler.md': [
    'scheduler',
    ...['list', 'next', 'run', 'pause', 'resume', 'remove'].map((name) => `schedule ${name}`),
  ],
  'docs/serving-config.md': ['serve', 'serve manifest'],
}

/** A flag with every spelling, and its default; `-` when it has none. */
type Flags = Readonly<Record<string, string>>

describe.each(Object.entries(PAGES))('%s', (page, commands) => {
  it.each(commands)('has the flags of `kiq %s`', async (command) => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      join(ROOT, 'dist/cli/main.js'),
      ...command.split(' '),
      '--help',
    ])

    expect(flagsOfPage(page, command)).toEqual(flagsOfHelp(stdout))
  })
})

function flagsOfHelp(help: string): Flags {
  const options = help.slice(help.indexOf('Options:') + 'Options:'.length)
  const texts = options.split(/\n {2}(?=-)/).map((text) => text.replace(/\s+/g, ' ').trim())
  return Object.fromEntries(
    texts.flatMap((text) => {
      const names = /^(?:-\w, )?--[\w-]+/.exec(text)?.[0].split(', ')
      if (names === undefined || names.includes('--help')) return []
      const alias = /\(alias: (?<alias>-[\w-]+)/.exec(text)?.groups?.['alias']
      const given = /default: "?(?<given>[^")]*)"?\)/.exec(text)?.groups?.['given']
      return [[[...names, ...(alias === undefined ? [] : [alias])].sort().join(' '), given ?? '-']]
    }),
  )
}

/** From the table under the heading of the command: flags in the first column, the default in the second. */
function flagsOfPage(page: string, command: string): Flags {
  const [headed = ''] = command.split(' ')
  const section = new RegExp(`^## Flags of \`kiq ${headed}\`\\n(?<body>[^]*?)(?=^## |$(?![^]))`, 'm').exec(
    readFileSync(join(ROOT, page), 'utf8'),
  )
  const rows = (section?.groups?.['body'] ?? '').matchAll(/^\| (?<flags>`-.*?) \| (?<given>.*?) \|/gm)
  return Object.fromEntries(
    [...rows].flatMap(({ groups }) => {
      const flags = groups?.['flags'] ?? ''
      const only = /\((?<commands>[a-z, ]+)\)/.exec(flags)?.groups?.['commands']?.split(', ')
      if (only !== undefined && !only.some((name) => command.endsWith(name))) return []
      const names = [...flags.matchAll(/`(-[\w-]+)/g)].map((match) => match[1] ?? '')
      return [[names.sort().join(' '), (groups?.['given'] ?? '').replaceAll('`', '').trim()]]
    }),
  )
}
