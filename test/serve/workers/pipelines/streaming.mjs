import { InferencePipeline } from '../../../../dist/serve/pipeline.js'

/** Yields as often as its first input says, and tells how far it has come; waits at the end when it is told to. */
export class Streaming extends InferencePipeline {
  #yielded = 0

  preprocess(inputs) {
    return inputs
  }

  async *predict(inputs, _, run) {
    const [{ value: count, do: ending }] = inputs
    for (let n = 0; n < count; n += 1) {
      this.#yielded += 1
      run.progress(0, n)
      yield inputs.map(() => n)
    }
    if (ending === 'sigkill') process.kill(process.pid, 'SIGKILL')
    if (ending === 'wait')
      await new Promise((_, reject) => run.signal.addEventListener('abort', () => reject(run.signal.reason)))
  }

  postprocess(_, raw) {
    return raw.map((value) => ({ status: 'success', value, yielded: this.#yielded }))
  }
}
