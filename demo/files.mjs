/** Which files the demo looks at: many kinds, few of each, the same ones at every run. */
import { open, readdir, stat } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'

/**
 * @typedef {object} SourceFile
 * @property {string} path
 * @property {string} extension - `.ts`; declaration files are `.d.ts`.
 * @property {'code' | 'prose'} kind
 */

/** Languages of the model: its id, a name for people, and the extensions of files in that language. */
export const LANGUAGES = [
  ['bat', 'Batch', '.bat .cmd'],
  ['c', 'C', '.c .h'],
  ['clj', 'Clojure', '.clj'],
  ['cmake', 'CMake', '.cmake'],
  ['coffee', 'CoffeeScript', '.coffee'],
  ['cpp', 'C++', '.cc .cpp .cxx .hpp .h'],
  ['cs', 'C#', '.cs'],
  ['css', 'CSS', '.css'],
  ['csv', 'CSV', '.csv'],
  ['dart', 'Dart', '.dart'],
  ['erl', 'Erlang', '.erl'],
  ['ex', 'Elixir', '.ex .exs'],
  ['go', 'Go', '.go'],
  ['groovy', 'Groovy', '.groovy .gradle'],
  ['hs', 'Haskell', '.hs'],
  ['html', 'HTML', '.html .htm'],
  ['ini', 'INI', '.ini'],
  ['java', 'Java', '.java'],
  ['jl', 'Julia', '.jl'],
  ['js', 'JavaScript', '.js .mjs .cjs .jsx'],
  ['json', 'JSON', '.json'],
  ['kt', 'Kotlin', '.kt .kts'],
  ['lisp', 'Lisp', '.lisp'],
  ['lua', 'Lua', '.lua'],
  ['md', 'Markdown', ''],
  ['ml', 'OCaml', '.ml .mli'],
  ['php', 'PHP', '.php'],
  ['pm', 'Perl', '.pl .pm'],
  ['ps1', 'PowerShell', '.ps1'],
  ['py', 'Python', '.py .pyi'],
  ['r', 'R', '.r'],
  ['rb', 'Ruby', '.rb'],
  ['rs', 'Rust', '.rs'],
  ['scala', 'Scala', '.scala'],
  ['sh', 'Shell', '.sh .bash'],
  ['sql', 'SQL', '.sql'],
  ['swift', 'Swift', '.swift'],
  ['tex', 'TeX', '.tex'],
  ['toml', 'TOML', '.toml'],
  ['ts', 'TypeScript', '.ts .mts .cts .tsx .d.ts'],
  ['xml', 'XML', '.xml .xsd'],
  ['yaml', 'YAML', '.yaml .yml'],
].map(([id = '', name = '', extensions = '']) => ({ id, name, extensions: extensions.split(' ').filter(Boolean) }))

/** The model does not know the languages of these: what it says is counted, but not compared. */
const OTHER_CODE = '.flow .gyp .jst .less .scss .svelte .vue'.split(' ')
const CODE = new Set([...LANGUAGES.flatMap(({ extensions }) => extensions), ...OTHER_CODE])
const PROSE = new Set('.markdown .md .rst .txt'.split(' '))

const HEAD_BYTES = 8 * 1024
const MIN_BYTES = 64
const MAX_BYTES = 64 * 1024
/** Generated code that no person reads has lines like that. */
const LONGEST_LINE = 1_000
/** Enough of any folder, should it be a whole disk. */
const MAX_SEEN = 50_000

/**
 * At most `count` files of the folder, as many of one extension as of any other as far as there are so many.
 *
 * @param {string} folder
 * @param {number} count
 * @returns {Promise<SourceFile[]>}
 */
export async function chooseFiles(folder, count) {
  const found = []
  for await (const path of walk(folder, { left: MAX_SEEN })) {
    const file = describe(path)
    if (file) found.push(file)
  }
  const chosen = []
  for (const file of spread(found)) {
    if (chosen.length === count) break
    if (await isSuitable(file.path)) chosen.push(file)
  }
  return chosen
}

/**
 * What a file is by its name; `undefined` when the demo has no use for it.
 *
 * @param {string} path
 * @returns {SourceFile | undefined}
 */
export function describe(path) {
  const name = basename(path).toLowerCase()
  if (name.includes('.min.')) return undefined
  const extension = /\.d\.[cm]?ts$/.test(name) ? '.d.ts' : extname(name)
  if (PROSE.has(extension)) return { path, extension, kind: 'prose' }
  return CODE.has(extension) ? { path, extension, kind: 'code' } : undefined
}

/**
 * All files in turns: one of each extension, then the next of each, … The order within an extension is random, but the
 * same at every run.
 *
 * @param {readonly SourceFile[]} files
 * @returns {SourceFile[]}
 */
export function spread(files) {
  const groups = groupBy(files, ({ extension }) => extension)
  const random = seededRandom(1)
  const sorted = [...groups].sort(([a], [b]) => (a < b ? -1 : 1))
  return sorted
    .flatMap(([, group]) => shuffle(group, random).map((file, turn) => ({ file, turn })))
    .sort((a, b) => a.turn - b.turn)
    .map(({ file }) => file)
}

/**
 * The beginning of a file, as text.
 *
 * @param {string} path
 */
export async function readHead(path) {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

/**
 * Files below a folder, sorted. Links are not followed, folders that cannot be read are passed over.
 *
 * @param {string} folder
 * @param {{ left: number }} budget
 * @returns {AsyncGenerator<string>}
 */
async function* walk(folder, budget) {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (budget.left <= 0) return
    budget.left -= 1
    const path = join(folder, entry.name)
    if (entry.isFile()) yield path
    else if (entry.isDirectory() && entry.name !== '.git' && entry.name !== 'node_modules') yield* walk(path, budget)
  }
}

/**
 * Whether a person may have written it: not tiny, not huge, not binary, not minified. Also whether it can be read.
 *
 * @param {string} path
 */
async function isSuitable(path) {
  try {
    const { size } = await stat(path)
    if (size < MIN_BYTES || size > MAX_BYTES) return false
    const head = await readHead(path)
    return !head.includes('\0') && head.split('\n').every((line) => line.length <= LONGEST_LINE)
  } catch {
    return false
  }
}

/**
 * @template T
 * @param {readonly T[]} items
 * @param {() => number} random
 */
function shuffle(items, random) {
  return items
    .map((item) => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item)
}

/**
 * Numbers in [0, 1); the same ones for the same seed.
 *
 * @param {number} seed
 */
function seededRandom(seed) {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/**
 * `Map.groupBy` of newer Node versions.
 *
 * @template T
 * @param {readonly T[]} items
 * @param {(item: T) => string} keyOf
 * @returns {Map<string, T[]>}
 */
export function groupBy(items, keyOf) {
  const groups = new Map()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group) group.push(item)
    else groups.set(keyOf(item), [item])
  }
  return groups
}
