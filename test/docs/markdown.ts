/**
 * The programs in our pages. Every TypeScript block is a complete module; of other languages those count that have a title
 * or are run. Words after the language say what else it is:
 *
 * - `title=tasks.ts`: the name of the file. Blocks with a title under one heading lie in one folder, and commands run there.
 * - `run`: the block is executed, and prints what the next `text` block says.
 * - `redis`: executed with an empty Redis, whose address is in `REDIS_URL`, and takes the place of those in a `kiq.yaml`.
 * - `worker=./tasks.ts:broker`: executed beside `kiq worker` with this module.
 * - `serve=./service.ts`: executed beside `kiq serve` with this module, when it is ready. `localhost:8000` in the block is
 *   where it listens.
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
  /** Arguments of `kiq worker`, with commas between them. */
  readonly worker: string | undefined
  /** Arguments of `kiq serve`, with commas between them. */
  readonly serve: string | undefined
  /** Argument of `taskiq worker`. */
  readonly pythonWorker: string | undefined
  /** What there has to be besides Node. */
  readonly needs: readonly Need[]
}

export type Need = 'curl' | 'redis' | 'python'

interface Fence {
  readonly info: readonly string[]
  readonly line: number
  readonly heading: number
  readonly text: string
}

interface NeedyFence {
  readonly language: string
  readonly words: readonly string[]
  readonly text: string
}

const WORDS = /^(run|redis|title=[\w.-]+\.(ts|py|yaml)|worker=\S+|serve=\S+|python=\S+)$/
const DEFAULT_FILES: Readonly<Record<string, string>> = {
  ts: 'main.ts',
  python: 'main.py',
  yaml: 'kiq.yaml',
  sh: 'main.sh',
}

/** @param path - Relative to the root of the repository. */
export function snippetsOf(path: string, markdown: string): readonly Snippet[] {
  const fences = fencesOf(markdown)
  return fences.flatMap(({ info, line, heading, text }, index) => {
    const [language = '', ...words] = info
    const defaultFile = DEFAULT_FILES[language]
    if (defaultFile === undefined || (language !== 'ts' && words.length === 0)) return []
    const place = `${path}:${line}`
    const unknown = words.filter((word) => !WORDS.test(word))
    if (unknown.length > 0) throw new Error(`${place}: "${unknown.join(' ')}" means nothing after \`\`\`${language}.`)
    const title = valueOf(words, 'title=')
    return {
      place,
      folder: `${path.replaceAll('/', '-')}-${title === undefined && language !== 'sh' ? line : `under-${heading}`}`,
      // Several blocks of commands may use the files of one heading.
      file: title ?? (language === 'sh' ? `line-${line}.sh` : defaultFile),
      code: text,
      prints: words.includes('run') ? expectedText(fences[index + 1], place) : undefined,
      worker: valueOf(words, 'worker='),
      serve: valueOf(words, 'serve='),
      pythonWorker: valueOf(words, 'python='),
      needs: needsOf({ language, words, text }),
    }
  })
}

function needsOf({ language, words, text }: NeedyFence): readonly Need[] {
  const needs: Need[] = []
  if (language === 'sh' && /\bcurl\b/.test(text)) needs.push('curl')
  if (words.includes('redis')) needs.push('redis')
  if (language === 'python' || valueOf(words, 'python=') !== undefined) needs.push('python')
  return needs
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
