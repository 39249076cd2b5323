// A service of the fault tests. What its pipeline does is written down outside of it, and gates are files.
import { appendFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'

import { InferencePipeline, InferenceService, loadServeConfig } from 'kiq/serve'
import { z } from 'zod'

const dir = process.env['KIQ_FAULT_DIR'] ?? '.'
const { settings = {}, workers } = JSON.parse(process.env['KIQ_FAULT_SERVE'] ?? '{}')

/** @param {string} file @param {object} line */
function append(file, line) {
  appendFileSync(join(dir, file), `${JSON.stringify(line)}\n`)
}

/**
 * Shouts. `hang…` never returns, `die…` kills its process, and `gate…` waits until the file of that name is there, or until
 * it is told to stop.
 */
export class Faulty extends InferencePipeline {
  /** @param {readonly { text: string }[]} inputs */
  preprocess(inputs) {
    return inputs.map(({ text }) => text)
  }

  /** @param {readonly object[]} _inputs @param {readonly string[]} texts @param {{ signal: AbortSignal }} run */
  async predict(_inputs, texts, { signal }) {
    append(`ledger-${process.pid}`, { event: 'start', texts, pid: process.pid })
    if (texts.some((text) => text.startsWith('hang'))) for (;;);
    if (texts.some((text) => text.startsWith('die'))) process.kill(process.pid, 'SIGKILL')
    for (const gate of texts.filter((text) => text.startsWith('gate'))) {
      while (!existsSync(join(dir, gate.split(' ')[0] ?? ''))) {
        if (signal.aborted) append(`ledger-${process.pid}`, { event: 'abort', texts, pid: process.pid })
        signal.throwIfAborted()
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    append(`ledger-${process.pid}`, { event: 'end', texts, pid: process.pid })
    return texts.map((text) => text.toUpperCase())
  }

  /** @param {readonly object[]} _inputs @param {readonly string[]} shouts */
  postprocess(_inputs, shouts) {
    return shouts.map((shout) => ({ status: 'success', shout }))
  }
}

const config = await loadServeConfig([], {
  env: {},
  overrides: {
    appSettings: {
      appPrefix: 'fault',
      ...settings,
      asyncConfig: { brokerUrl: `sqlite:${join(dir, 'jobs.db')}`, ...settings.asyncConfig },
      deploymentConfig: { volumeReloadIntervalSeconds: null, ...settings.deploymentConfig },
    },
    modelSettings: { modelEntries: { shout: {} } },
  },
})

export const service = new InferenceService({
  modelName: 'shout',
  pipeline: Faulty,
  input: z.object({ text: z.string() }),
  output: z.object({ shout: z.string() }),
  config,
  // Files, so that what was sent outlives the service.
  queueBackend: {
    sendMessage: async (name, message) => {
      append(`queue-${name}`, JSON.parse(message))
      return true
    },
  },
  ...(workers === undefined ? {} : { workers: { ...workers, module: import.meta.url } }),
})
