import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

import { describe, expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')

const pages = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...['docs', 'examples', 'bench'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  ),
]

describe('links in the documentation', () => {
  it.each(pages)('of %s lead somewhere', (page) => {
    expect(linksOf(join(ROOT, page)).filter((link) => !leadsSomewhere(page, link))).toEqual([])
  })
})

/** Without those to other sites. */
function linksOf(path: string): readonly string[] {
  const text = readFileSync(path, 'utf8').replaceAll(/^```[^]*?^```$/gm, '')
  const targets = [...text.matchAll(/\]\((?<target>[^)\s]+)\)/g)].map(({ groups }) => groups?.['target'] ?? '')
  return targets.filter((target) => !/^https?:/.test(target))
}

function leadsSomewhere(page: string, link: string): boolean {
  const [file = '', anchor] = link.split('#')
  const path = file === '' ? join(ROOT, page) : join(ROOT, dirname(page), file)
  if (!existsSync(path) || relative(ROOT, path).startsWith('..')) return false
  return anchor === undefined || (statSync(path).isFile() && anchorsOf(path).includes(anchor))
}

/** As GitHub makes them from headings. */
function anchorsOf(path: string): readonly string[] {
  const headings = [...readFileSync(path, 'utf8').matchAll(/^#+ (?<text>.+)$/gm)]
  return headings.map(({ groups }) =>
    (groups?.['text'] ?? '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )
}
