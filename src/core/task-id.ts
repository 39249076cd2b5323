import { randomFillSync } from 'node:crypto'

const IDS_PER_FILL = 128
const ID_BYTES = 16

const random = Buffer.alloc(IDS_PER_FILL * ID_BYTES)
let hex = ''
let used = IDS_PER_FILL

/**
 * A UUIDv4 as 32 lowercase hexadecimal digits, the form of Taskiq's ids. Made by the hundred: one id of
 * `crypto.randomUUID()` without its dashes costs more than sending a task in memory.
 */
export function randomTaskId(): string {
  if (used === IDS_PER_FILL) refill()
  const start = used * ID_BYTES * 2
  used += 1
  return hex.slice(start, start + ID_BYTES * 2)
}

/** Version and variant bits as RFC 9562, section 5.4, asks. */
function refill(): void {
  randomFillSync(random)
  for (let at = 0; at < random.length; at += ID_BYTES) {
    random[at + 6] = ((random[at + 6] ?? 0) & 0x0f) | 0x40
    random[at + 8] = ((random[at + 8] ?? 0) & 0x3f) | 0x80
  }
  hex = random.toString('hex')
  used = 0
}
