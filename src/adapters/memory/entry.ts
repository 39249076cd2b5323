import type { Body, Delivery, WireMessage } from '../../contract/index.ts'

/**
 * One message in this process, and the delivery of it: the worker gets this very object, so that receiving costs no
 * allocation. A message that goes back to its queue becomes a new entry, hence a delivery is recognised as stale by the
 * list it is in.
 */
export class Entry implements Delivery {
  readonly body: Body
  readonly queue: string
  readonly attempt: number
  readonly taskId: string
  readonly taskName: string
  readonly priority: number
  /** The list that holds this entry; `undefined` = none, the message has been dealt with. */
  list: EntryList | undefined = undefined
  previous: Entry | undefined = undefined
  next: Entry | undefined = undefined

  constructor(message: WireMessage | Entry, attempt: number) {
    this.body = message.body
    this.queue = message.queue
    this.attempt = attempt
    this.taskId = message.taskId
    this.taskName = message.taskName
    this.priority = message.priority ?? 0
  }

  /** Without the links: a logged delivery must not print its neighbours. */
  toJSON(): object {
    return { queue: this.queue, attempt: this.attempt, taskId: this.taskId, taskName: this.taskName }
  }
}

/** Doubly linked list through the entries themselves: every operation is O(1), also removal from the middle. */
export class EntryList {
  #head: Entry | undefined
  #tail: Entry | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  *[Symbol.iterator](): Generator<Entry, void, undefined> {
    let entry = this.#head
    while (entry !== undefined) {
      const next = entry.next // before the caller can remove the entry
      yield entry
      entry = next
    }
  }

  append(entry: Entry): void {
    const tail = this.#tail
    entry.list = this
    entry.previous = tail
    if (tail === undefined) this.#head = entry
    else tail.next = entry
    this.#tail = entry
    this.#size += 1
  }

  prepend(entry: Entry): void {
    const head = this.#head
    entry.list = this
    entry.next = head
    if (head === undefined) this.#tail = entry
    else head.previous = entry
    this.#head = entry
    this.#size += 1
  }

  shift(): Entry | undefined {
    const head = this.#head
    if (head !== undefined) this.remove(head)
    return head
  }

  /** The entry must be in this list. */
  remove(entry: Entry): void {
    const { previous, next } = entry
    if (previous === undefined) this.#head = next
    else previous.next = next
    if (next === undefined) this.#tail = previous
    else next.previous = previous
    // A left-behind link from an old object to a young one would keep the young one alive until a full collection.
    entry.list = undefined
    entry.previous = undefined
    entry.next = undefined
    this.#size -= 1
  }
}
