import type { Body, DeadLetter, DeadLetterFilter } from '../../contract/index.ts'
import { ConfigError } from '../../contract/index.ts'
import { formatAge, formatTable } from '../table.ts'

/** Which letters; as commander hands it over. */
export interface LetterOptions {
  readonly id?: readonly string[] | undefined
  readonly queue?: string | undefined
  readonly limit?: number | undefined
  readonly all?: true | undefined
}

/** Letters that `list` shows when no limit is given. */
export const LIST_LIMIT = 100

export function letterFilter({ id, queue, limit }: LetterOptions): DeadLetterFilter {
  return { ids: id, queue, limit }
}

/**
 * The filter of a command that changes letters.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when nothing says which ones: all of them is never meant by accident.
 */
export function chosenLetters(verb: 'retry' | 'drop', options: LetterOptions): DeadLetterFilter {
  if (options.all || options.id !== undefined || options.queue !== undefined) return letterFilter(options)
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `\`kiq dead ${verb}\` was not told which dead letters. Use --id <id>, --queue <queue> or --all; ` +
      '`kiq dead list` shows them.',
  )
}

/** @param options.width - Of the terminal; reasons are cut to fit. */
export function formatLetters(
  letters: readonly DeadLetter[],
  options: { readonly now: number; readonly width?: number | undefined },
): string {
  if (letters.length === 0) return 'No dead letters.\n'
  return formatTable(
    ['ID', 'TASK', 'QUEUE', 'ATTEMPTS', 'AGE', 'REASON'],
    letters.map((letter) => [
      letter.id,
      letter.taskName ?? '-',
      letter.queue,
      String(letter.attempt),
      formatAge(options.now - letter.diedAt),
      letter.reason,
    ]),
    { width: options.width },
  )
}

/** A letter as `--json` prints it. Bytes that are no text are printed as Base64. */
export function letterToJson(letter: DeadLetter): object {
  const { id, queue, taskId, taskName, attempt, reason, diedAt } = letter
  return {
    id,
    queue,
    taskId: taskId ?? null,
    taskName: taskName ?? null,
    attempt,
    reason,
    diedAt: new Date(diedAt).toISOString(),
    ...bodyToJson(letter.body),
  }
}

function bodyToJson(body: Body): { readonly body: string } | { readonly bodyBase64: string } {
  if (typeof body === 'string') return { body }
  try {
    return { body: new TextDecoder('utf-8', { fatal: true }).decode(body) }
  } catch {
    return { bodyBase64: Buffer.from(body).toString('base64') }
  }
}
