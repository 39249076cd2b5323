import { randomBytes, randomFillSync } from 'node:crypto'

const IDS_PER_FILL = 128
const RANDOM_BYTES = 10
const RANDOM_DIGITS = RANDOM_BYTES * 2

const PROCESS_DIGITS = randomBytes(2)

const random = Buffer.alloc(IDS_PER_FILL * RANDOM_BYTES)
let hex = ''
let used = IDS_PER_FILL
let timeMs = 0
let timeDigits = ''

/**
 * A UUIDv7 as 32 lowercase hexadecimal digits: the form of Taskiq's ids, in the order of time. Stores keep results by
 * these ids, and an index that grows at its end costs a fraction of one that grows everywhere.
 *
 * Its random part is made by the hundred: one id of `crypto.randomUUID()` costs more than sending a task in memory.
 *
 * @see {@link https://www.rfc-editor.org/rfc/rfc9562#section-5.7 | RFC 9562, section 5.7} for the format.
 */
export function randomTaskId(): string {
  if (used === IDS_PER_FILL) refill()
  const start = used * RANDOM_DIGITS
  used += 1
  return time() + hex.slice(start, start + RANDOM_DIGITS)
}

/** Milliseconds since the epoch as 48 bits. */
function time(): string {
  const now = Date.now()
  if (now !== timeMs) {
    timeMs = now
    timeDigits = now.toString(16).padStart(12, '0')
  }
  return timeDigits
}

/**
 * Version 7 and the variant in their places. The last four digits are the same for all ids of a process, so that those
 * who announce results can address it: they need one channel for all its tasks.
 */
function refill(): void {
  randomFillSync(random)
  for (let at = 0; at < random.length; at += RANDOM_BYTES) {
    random[at] = ((random[at] ?? 0) & 0x0f) | 0x70
    random[at + 2] = ((random[at + 2] ?? 0) & 0x3f) | 0x80
    PROCESS_DIGITS.copy(random, at + RANDOM_BYTES - 2)
  }
  hex = random.toString('hex')
  used = 0
}
