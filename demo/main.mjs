/**
 * `npm run demo [-- FOLDER] [--files N]`: which languages are these files written in? Two worker processes find out with
 * a neural network, fed by a queue in one SQLite file. One of them is killed on the way, and nothing is lost.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { chooseFiles } from './files.mjs'
import { complaints, languageTable, summaryLines } from './report.mjs'
import { runTasks } from './run.mjs'
import { Workers } from './workers.mjs'

const USAGE = `Usage: npm run demo [-- FOLDER] [--files N]

  FOLDER     where to look for files (default: node_modules)
  --files N  how many of them (default: 1000)`

const DEADLINE_MS = 100_000

/** An end for a reason that needs no stack trace. */
class Stop extends Error {
  /**
   * @param {number} exitCode
   * @param {string} message
   */
  constructor(exitCode, message) {
    super(message)
    this.exitCode = exitCode
  }
}

/** Aborted when the demo must end early; whoever waits then stops waiting. */
const early = new AbortController()

process.on('SIGINT', () => early.abort(new Stop(130, 'Interrupted.')))
process.on('SIGTERM', () => early.abort(new Stop(143, 'Terminated.')))
process.on('SIGHUP', () => early.abort(new Stop(129, 'The terminal is gone.')))
// Such as `npm run demo | head -1`.
process.stdout.on('error', () => early.abort(new Stop(1, 'Nobody reads the output.')))
process.stderr.on('error', () => {})

try {
  await main()
} catch (error) {
  console.error(error instanceof Stop ? `\n${error.message}` : error)
  process.exitCode = error instanceof Stop ? error.exitCode : 1
}
process.exit()

async function main() {
  const { folder, count } = readArguments()
  console.log('Two worker processes find out with a neural network which languages the files of')
  console.log(`${folder} are written in, fed by a queue in one SQLite file.`)
  console.log('Half-way one of them is killed with kill -9, and still every file must get')
  console.log('exactly one result.\n')

  const files = await chooseFiles(folder, count)
  early.signal.throwIfAborted()
  if (files.length === 0) throw new Stop(2, `${folder} holds no suitable file: source code or text, 64 bytes to 64 KB.`)
  const directory = mkdtempSync(join(tmpdir(), 'kiq-demo-'))
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
  const tooLate = new Stop(1, `Not done after ${DEADLINE_MS / 1000} s. Try fewer files: npm run demo -- --files 200`)
  const timer = setTimeout(() => early.abort(tooLate), DEADLINE_MS)
  await detectLanguages(files, directory)
  clearTimeout(timer)
}

function readArguments() {
  const { values, positionals } = parse()
  const count = Number(values.files)
  if (!Number.isSafeInteger(count) || count < 1) throw new Stop(2, `--files takes a whole number, not ${values.files}.`)
  if (positionals.length > 1) throw new Stop(2, `One folder is enough: ${positionals.join(', ')}.\n\n${USAGE}`)
  const [named] = positionals
  // npm has gone to the folder of package.json; the user has not.
  const here = process.env.INIT_CWD ?? process.cwd()
  const folder = named === undefined ? join(import.meta.dirname, '../node_modules') : resolve(here, named)
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw new Stop(2, `There is no folder ${folder}.`)
  return { folder, count }
}

function parse() {
  try {
    return parseArgs({ options: { files: { type: 'string', default: '1000' } }, allowPositionals: true })
  } catch (error) {
    throw new Stop(2, `${/** @type {Error} */ (error).message}\n\n${USAGE}`)
  }
}

/**
 * @param {readonly import('./files.mjs').SourceFile[]} files
 * @param {string} directory - For the queue and the log.
 */
async function detectLanguages(files, directory) {
  // Read by tasks.mjs, here and in the worker processes.
  process.env.KIQ_DEMO_DB = join(directory, 'queue.db')
  const { broker, detectCode, detectProse } = await import('./tasks.mjs')
  const workers = new Workers(join(directory, 'worker.log'))
  void workers.ended.then((how) => early.abort(new Error(`The workers ended too early: ${how}.`)))
  try {
    await broker.startup()
    await workers.ready(early.signal)
    const run = await runTasks(files, { detectCode, detectProse }, workers, early.signal)
    const end = await workers.stop()
    if (end !== 'exit code 0') throw new Error(`The workers did not stop well: ${end}.`)
    console.log(`\n${languageTable(run.outcomes)}\n\n${summaryLines(run).join('\n')}`)

    // Once more from the file, now that nothing is running any more.
    const results = await Promise.all(run.outcomes.map(({ taskId }) => broker.getResult(taskId)))
    const wrong = complaints({ files, results, queues: await broker.transport.inspect?.() })
    if (wrong.length > 0) throw new Stop(1, wrong.join('\n'))
    console.log(`results     ${results.length}: exactly one for each file, and nothing is left in the queue`)
  } catch (error) {
    const isFailure = !(error instanceof Stop) || error.exitCode === 1
    if (isFailure) console.error(`\nThe last lines of the workers' log:\n${workers.lastLines}`)
    throw error
  } finally {
    await workers.stop()
    await broker.shutdown()
  }
  console.log('\nNext: README.md for your own tasks, demo/tasks.mjs for those of this demo,')
  console.log('npm run demo -- FOLDER for files of yours, npm test for the tests.')
}
