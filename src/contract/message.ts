/**
 * Bytes of a message or a result. A serializer that produces text hands over a string, which every transport stores or
 * sends as UTF-8; a transport may hand back either form, whatever was sent.
 */
export type Body = string | Uint8Array

/**
 * Typed metadata that travels with a message. `string`, `boolean`, `number`, `bigint` and `Uint8Array` arrive as they
 * were sent; anything else arrives as text, as it does with Python's Taskiq. `null` and `undefined` are not sent.
 */
export type Labels = Readonly<Record<string, unknown>>

/** One request to run a task, decoded: what middlewares see. Labels hold values, not their encoded text. */
export interface TaskMessage {
  /** Unique id of the call; the result is stored under it. A retry keeps it. */
  readonly taskId: string
  readonly taskName: string
  readonly labels: Labels
  readonly args: readonly unknown[]
  readonly kwargs: Readonly<Record<string, unknown>>
}

/** A message as it travels: what the transport may look at, and a body that is opaque to it. */
export interface WireMessage {
  readonly taskId: string
  readonly taskName: string
  /** Queue to put the message on. */
  readonly queue: string
  readonly body: Body
  /** Labels as encoded in the body, for transports that repeat them as headers. */
  readonly labels: Labels
  /** Higher runs first; 0 when not given. Needs `capabilities.priorities`. */
  readonly priority?: number | undefined
  /** Earliest delivery, in milliseconds since the epoch. Needs `capabilities.delays`. */
  readonly deliverAt?: number | undefined
  /** Needs `capabilities.deduplicates`. */
  readonly once?: SendOnce | undefined
}

/**
 * Sends a message only if none with the same key and the same or a later time was accepted before: who does not know
 * whether it was sent can send it again. What is refused so counts as sent.
 */
export interface SendOnce {
  /** Of its own for each queue. */
  readonly key: string
  /** Milliseconds since the epoch; for one key it never goes back. */
  readonly at: number
  /** How long the transport has to remember the key after it was accepted, in milliseconds. */
  readonly ttlMs: number
}
