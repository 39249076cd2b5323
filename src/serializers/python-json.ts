import type { Body } from '../contract/index.ts'

const HEAD = '{"task_id": '
const OUR_HEAD = '{"task_id":'
const SPACE = 0x20

/** Whether a message begins as Python's own encoder writes it. Neither ours nor a faster one there has the space. */
export function isPythonJson(body: Body): boolean {
  if (typeof body === 'string') return body.startsWith(HEAD)
  return body[HEAD.length - 1] === SPACE && Buffer.from(body.subarray(0, HEAD.length)).toString('latin1') === HEAD
}

/** The message as one that {@link isPythonJson} knows, if it is JSON. */
export function asPythonJson(body: Body): Body {
  return typeof body === 'string' && body.startsWith(OUR_HEAD) && !isPythonJson(body)
    ? HEAD + body.slice(OUR_HEAD.length)
    : body
}
