import { MessageError } from '../contract/index.ts'
import type { SchemaIssue, StandardSchema } from '../contract/index.ts'

/**
 * Checks arguments with any Standard Schema.
 *
 * @param where - `sent to task "x"` or `received by task "x"`, for the message.
 * @returns What the schema makes of the value.
 * @throws {MessageError} `KIQ_ARGUMENTS_INVALID` listing each issue with its path.
 */
export async function validate(schema: StandardSchema, value: unknown, where: string): Promise<unknown> {
  const outcome = await schema['~standard'].validate(value)
  if (outcome.issues === undefined) return outcome.value
  throw new MessageError(
    'KIQ_ARGUMENTS_INVALID',
    `The arguments ${where} are not valid: ${outcome.issues.map(formatIssue).join('; ')}. Correct them and send again.`,
    { cause: outcome.issues },
  )
}

/** An issue of a schema, with its path. */
export function formatIssue(issue: SchemaIssue): string {
  const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  return path === '' ? issue.message : `${path}: ${issue.message}`
}
