import { MessageError } from '../contract/index.ts'
import type { SchemaIssue } from '../contract/index.ts'

/** Where an input does not fit its schema. */
export interface InputIssue {
  /** Names and positions, joined by points; empty for the whole. */
  readonly path: string
  readonly message: string
}

/** An input does not fit the schema of its model; `KIQ_ARGUMENTS_INVALID`. */
export class InvalidInputError extends MessageError {
  readonly issues: readonly InputIssue[]

  constructor(what: string, issues: readonly InputIssue[]) {
    const list = issues.map(({ path, message }) => (path === '' ? '' : `${path}: `) + message.replace(/\.$/, ''))
    super('KIQ_ARGUMENTS_INVALID', `${what} is not valid: ${list.join('; ')}. Correct it and send again.`)
    this.issues = issues
  }
}

/** @param under - Path of what the schema looked at. */
export function inputIssues(issues: readonly SchemaIssue[], under = ''): readonly InputIssue[] {
  return issues.map(({ path = [], message }) => {
    const parts = path.map((part) => String(typeof part === 'object' ? part.key : part))
    return { path: [...(under === '' ? [] : [under]), ...parts].join('.'), message }
  })
}
