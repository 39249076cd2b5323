/** Whether a `.gitignore` names a path: relative to the file's folder, with `/` between its parts. */
export type IsIgnored = (path: string, kind: 'file' | 'directory') => boolean

interface Rule {
  readonly expression: RegExp
  readonly verdict: 'ignore' | 'keep'
  readonly onlyDirectories: boolean
}

/**
 * Reads a `.gitignore`. What lies in an ignored folder is ignored too, and cannot be taken back by a later `!` line.
 *
 * @see {@link https://git-scm.com/docs/gitignore#_pattern_format} for the format.
 */
export function parseGitignore(text: string): IsIgnored {
  const rules = text.split(/\r?\n/).flatMap(parseLine)
  return (path, kind) => {
    const parts = path.split('/')
    return parts.some((_, index) => {
      const isLast = index === parts.length - 1
      return judge(rules, parts.slice(0, index + 1).join('/'), isLast ? kind : 'directory')
    })
  }
}

function judge(rules: readonly Rule[], path: string, kind: 'file' | 'directory'): boolean {
  const last = rules.findLast(({ expression, onlyDirectories }) => {
    return (kind === 'directory' || !onlyDirectories) && expression.test(path)
  })
  return last?.verdict === 'ignore'
}

function parseLine(line: string): Rule[] {
  // Spaces at the end count only when they are escaped.
  const text = line.replace(/(?<!\\)\s+$/, '')
  if (text === '' || text.startsWith('#')) return []
  const verdict = text.startsWith('!') ? 'keep' : 'ignore'
  const pattern = text.replace(/^!/, '')
  const onlyDirectories = pattern.endsWith('/')
  const path = pattern.replace(/\/$/, '')
  const isAnchored = path.includes('/')
  const source = `^${isAnchored ? '' : '(?:.*/)?'}${translate(path.replace(/^\//, ''))}$`
  try {
    return [{ expression: new RegExp(source), verdict, onlyDirectories }]
  } catch {
    // A character class that is none; git matches nothing with it either.
    return []
  }
}

const TOKEN =
  /\\(?<escaped>.)|(?<deep>\*\*\/)|(?<rest>\/\*\*$)|(?<many>\*+)|(?<one>\?)|\[(?<set>[^\]]+)\]|(?<other>.)/gsu

function translate(glob: string): string {
  return glob.replaceAll(TOKEN, (...match) => {
    const { escaped, deep, rest, many, one, set, other } = match.at(-1) as Readonly<Record<string, string | undefined>>
    if (deep !== undefined) return '(?:.*/)?'
    if (rest !== undefined) return '/.*'
    if (many !== undefined) return '[^/]*'
    if (one !== undefined) return '[^/]'
    if (set !== undefined) return `[${set.replace(/^!/, '^')}]`
    return (escaped ?? other ?? '').replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
  })
}
