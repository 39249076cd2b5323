import type { Body, Serializer } from '../contract/index.ts'
import { toBytes } from './peer.ts'
import { hasHeader } from './pickle-format.ts'
import { readPickle } from './pickle-reader.ts'
import { writePickle } from './pickle-writer.ts'

/**
 * Pickles of plain data, in which Python's Taskiq stores results and schedules by default. Reads protocols 2 to 5 and
 * never makes anything but `null`, booleans, numbers, bigints, text, arrays, plain objects and `Uint8Array`: what asks
 * for another object of Python is refused. Writes protocol 2. Integers of any size.
 *
 * Python runs what it unpickles. Use this where Python does so already, and JSON everywhere else.
 */
export class PickleSerializer implements Serializer {
  readonly name = 'pickle'

  /** @throws {MessageError} `KIQ_ARGUMENTS_UNSERIALIZABLE` for what is not plain data. */
  dumpb(value: unknown): Body {
    return writePickle(value)
  }

  /** @throws {MessageError} `KIQ_MESSAGE_UNDECODABLE` */
  loadb(body: Body): unknown {
    return readPickle(toBytes(body))
  }
}

/** Whether a body begins as a pickle of protocol 2 to 5 does. No JSON and no text does. */
export function isPickle(body: Body): boolean {
  return typeof body !== 'string' && hasHeader(body)
}
