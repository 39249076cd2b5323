import { existsSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread, threadId } from 'node:worker_threads'

import { InferencePipeline } from '../../../../dist/serve/pipeline.js'

/** Does what its inputs and settings say. */
export class Faulty extends InferencePipeline {
  #batches = 0
  #reloads = 0

  async setup() {
    const { setup, file } = this.context.settings
    this.context.log.info({ model: 'mine' }, 'setup')
    if (setup === 'throw') throw new RangeError('no weights', { cause: new Error('disk') })
    if (setup === 'hang') await new Promise(() => {})
    if (setup === 'spin') spin()
    if (setup === 'exit') process.exit(9)
    if (setup === 'only-first' && !isFirst(file)) throw new Error('only the first one')
  }

  preprocess(inputs) {
    return inputs
  }

  async predict(inputs, _, run) {
    this.#batches += 1
    const outputs = []
    for (const [index, input] of inputs.entries()) outputs.push(await this.#act(input, index, run))
    return outputs
  }

  postprocess(_, raw) {
    return raw.map((output) => ({ status: 'success', ...output }))
  }

  health() {
    const { unhealthy } = this.context.settings
    return unhealthy === undefined || !existsSync(unhealthy)
  }

  onModelsReload() {
    const { reload } = this.context.settings
    this.#reloads += 1
    if (reload === 'hang') return new Promise(() => {})
    if (reload === 'throw') throw new Error('files are broken')
  }

  teardown() {
    const { torn } = this.context.settings
    if (torn !== undefined) writeFileSync(torn, 'torn')
    if (this.context.settings.teardown === 'hang') return new Promise(() => {})
  }

  async #act(input, index, run) {
    run.progress(index, process.pid)
    switch (input.do) {
      case 'exit':
        process.exit(7)
        break
      case 'sigkill':
        process.kill(process.pid, 'SIGKILL')
        await new Promise(() => {})
        break
      case 'spin':
        spin()
        break
      case 'spin-first':
        if (isFirst(input.file)) spin()
        break
      case 'exit-first':
        if (isFirst(input.file)) process.exit(7)
        break
      case 'wait':
        await new Promise((_, reject) => run.signal.addEventListener('abort', () => reject(run.signal.reason)))
        break
      case 'hang':
        await new Promise(() => {})
        break
      case 'hold':
        while (!existsSync(input.file)) await delay(5)
        break
      case 'throw':
        throw Object.assign(new RangeError('bad input', { cause: new TypeError('deep') }), { code: 'E_BAD' })
      case 'poison':
        throw new Error('CUDA error: an illegal memory access was encountered')
      case 'poison-first':
        if (isFirst(input.file))
          throw new Error('forward failed', { cause: new Error('CUBLAS_STATUS_EXECUTION_FAILED') })
        break
      case 'function':
        return { value: () => {} }
      case 'bytes':
        return { value: input.value, isBuffer: Buffer.isBuffer(input.value), back: Buffer.from('abc') }
      case 'log':
        this.context.log.warn({ err: new RangeError('logged'), n: 1 }, 'from the pipeline')
        break
    }
    return {
      value: input.value,
      place: place(),
      batches: this.#batches,
      reloads: this.#reloads,
      env: process.env['WORKER_GPU'],
    }
  }
}

function place() {
  return isMainThread ? process.pid : `thread ${threadId}`
}

function spin() {
  for (;;);
}

function isFirst(file) {
  try {
    writeFileSync(file, '', { flag: 'wx' })
    return true
  } catch {
    return false
  }
}
