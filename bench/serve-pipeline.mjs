import { InferencePipeline } from 'kiq/serve'

import { loadModel, requestBodies } from './serve-vad.mjs'

/** @typedef {{ readonly samples: string, readonly state: string }} Frame */
/** @typedef {{ readonly speech: number, readonly state: string }} Heard */

/** @extends {InferencePipeline<Frame, Heard>} */
export class VadPipeline extends InferencePipeline {
  /** @type {Awaited<ReturnType<typeof loadModel>> | undefined} */
  #hear

  /** @override */
  async setup() {
    this.#hear = await loadModel()
  }

  /** @override */
  async warmup() {
    await this.#hear?.(requestBodies(32).map((body) => JSON.parse(body)))
  }

  /**
   * @override
   * @param {readonly Frame[]} frames
   */
  preprocess(frames) {
    return frames
  }

  /**
   * @override
   * @param {readonly Frame[]} frames
   */
  async predict(frames) {
    // More than once, to keep the cores busy with little of HTTP.
    const times = Number(this.context.settings['times'] ?? 1)
    for (let i = 1; i < times; i += 1) await this.#hear?.(frames)
    return await this.#hear?.(frames)
  }

  /**
   * @override
   * @param {readonly Frame[]} _frames
   * @param {readonly Heard[]} heard
   */
  postprocess(_frames, heard) {
    return heard.map((one) => ({ status: /** @type {const} */ ('success'), ...one }))
  }
}
