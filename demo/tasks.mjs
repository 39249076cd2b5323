/**
 * The tasks of the demo. Sender and workers import this module; a worker of its own is started by
 * `npx kiq worker demo/tasks.mjs:broker`.
 */
import { context, SmartRetryMiddleware } from 'kiq'
import { SqliteBroker } from 'kiq/sqlite'
import languageDetection from '@vscode/vscode-languagedetection'
import lande from 'lande'

import { readHead } from './files.mjs'

/**
 * @typedef {object} Detection
 * @property {string} path
 * @property {string} language - Id of the model: `ts`, `py`, …, or `eng`, `deu`, … for prose.
 * @property {number} confidence - 0 to 1.
 * @property {number} pid - The worker process.
 * @property {number} attempt - 1 = the first execution, counting retries and redeliveries.
 */

export const broker = new SqliteBroker({ path: process.env.KIQ_DEMO_DB ?? '.kiq/demo.db' }).withMiddlewares(
  new SmartRetryMiddleware({ defaultDelay: '200ms', retryOn: isTransient }),
)

// Once per worker process: tasks share the model through the state of the broker.
broker.on('workerStartup', async (state) => {
  const model = new languageDetection.ModelOperations()
  await model.runModel('The first run loads the weights.')
  state.model = model
})

/** The programming language of a file. */
export const detectCode = broker.task('detect.code', async (/** @type {string} */ path) => {
  await reportStart()
  const model = /** @type {languageDetection.ModelOperations} */ (context().state.model)
  const [best] = await model.runModel(await readHead(path))
  return detection(path, best?.languageId, best?.confidence)
})

/** The human language of a text. A read that fails for a moment is tried again, at most three times in all. */
export const detectProse = broker.task(
  'detect.prose',
  async (/** @type {string} */ path) => {
    await reportStart()
    const [best] = lande(withoutCode(await readHead(path)))
    return detection(path, best?.[0], best?.[1])
  },
  { labels: { retry_on_error: true, max_retries: 3 } },
)

/** Tells everybody who asks with `sent.getProgress()` where the task is running. */
async function reportStart() {
  await context().progress.set('STARTED', { pid: process.pid })
}

/**
 * @param {string} path
 * @param {string} [language]
 * @param {number} [confidence]
 * @returns {Detection}
 */
function detection(path, language = 'unknown', confidence = 0) {
  return { path, language, confidence, pid: process.pid, attempt: context().attempt }
}

/** @param {string} markdown */
function withoutCode(markdown) {
  return markdown.replaceAll(/```[^]*?(```|$)|`[^`\n]*`|<[^>]*>|https?:\S+/g, ' ')
}

/** @param {unknown} error */
function isTransient(error) {
  return (
    error instanceof Error && 'code' in error && ['EAGAIN', 'EBUSY', 'EMFILE', 'ENFILE'].includes(String(error.code))
  )
}
