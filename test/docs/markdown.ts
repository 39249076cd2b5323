/**
 * The programs in our pages. Every TypeScript block is a complete module; of Python those count that have a title or are
 * run. Words after the language say what else it is:
 *
 * - `title=tasks.ts`: the name of the file. Blocks with a title under one heading lie in one folder.
 * - `run`: the block is executed, and prints what the next `text` block says.
 * - `redis`: executed with an empty Redis, whose address is in `REDIS_URL`.
 * - `worker=./tasks.ts:broker`: executed beside `kiq worker` with this module.
 * - `python=worker:broker`: executed beside Python's `taskiq worker` with this module.
 */
export interface Snippet {
  /** Shown in the titles of tests, for example `docs/tasks.md:12`. */
  readonly place: string
  /** The same for all files of one example. */
  readonly folder: string
  readonly file: string
  readonly code: string
  /** What it prints; `undefined` = it is not executed. */
  readonly prints: string | undefined
  /** Argument of `kiq worker`. */
  readonly worker: string | undefined
  /** Argument of `taskiq worker`. */
  readonly pythonWorker: string | undefined
  /** What there has to be besides Node. */
  readonly needs: readonly ('redis' | 'python')[]
}

interface Fence {
  readonly info: readonly string[]
  readonly line: number
  readonly heading: number
  readonly text: string
}

const WORDS = /^(run|redis|title=[\w.-]+\.(ts|py)|worker=\S+|python=\S+)$/
const DEFAULT_FILES: Readonly<Record<string, string>> = { ts: 'main.ts', python: 'main.py' }

/** @param path - Relative to the root of the repository. */
export function snippetsOf(path: string, markdown: string): readonly Snippet[] {
  const fences = fencesOf(markdown)
  return fences.flatMap(({ info, line, heading, text }, index) => {
    const [language = '', ...words] = info
    const defaultFile = DEFAULT_FILES[language]
    if (defaultFile === undefined || (language === 'python' && words.length === 0)) return []
    const place = `${path}:${line}`
    const unknown = words.filter((word) => !WORDS.test(word))
    if (unknown.length > 0) throw new Error(`${place}: "${unknown.join(' ')}" means nothing after \`\`\`${language}.`)
    const title = valueOf(words, 'title=')
    const pythonWorker = valueOf(words, 'python=')
    const usesPython = language === 'python' || pythonWorker !== undefined
    return {
      place,
      folder: `${path.replaceAll('/', '-')}-${title === undefined ? line : `under-${heading}`}`,
      file: title ?? defaultFile,
      code: text,
      prints: words.includes('run') ? expectedText(fences[index + 1], place) : undefined,
      worker: valueOf(words, 'worker='),
      pythonWorker,
      needs: [...(words.includes('redis') ? (['redis'] as const) : []), ...(usesPython ? (['python'] as const) : [])],
    }
  })
}

function valueOf(words: readonly string[], prefix: string): string | undefined {
  return words.find((word) => word.startsWith(prefix))?.slice(prefix.length)
}

function expectedText(next: Fence | undefined, place: string): string {
  if (next?.info[0] === 'text') return next.text
  throw new Error(`${place} is marked \`run\`, but no \`text\` block with its output follows.`)
}

function fencesOf(markdown: string): readonly Fence[] {
  const lines = markdown.split('\n')
  const fences: Fence[] = []
  let heading = 1
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? ''
    if (/^#+ /.test(line)) heading = at + 1
    const info = /^(?<ticks>`{3,})(?<info>.*)$/.exec(line)?.groups
    if (info === undefined) continue
    const end = lines.indexOf(info['ticks'] ?? '', at + 1)
    if (end === -1) throw new Error(`The block in line ${at + 1} does not end.`)
    const text = lines.slice(at + 1, end).join('\n') + '\n'
    fences.push({ info: (info['info'] ?? '').trim().split(/ +/), line: at + 1, heading, text })
    at = end
  }
  return fences
}
