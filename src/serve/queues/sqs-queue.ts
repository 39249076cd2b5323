import { createHash } from 'node:crypto'

import { BrokerError, ConfigError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import { defaultLogger } from '../../core/index.ts'
import { show } from '../../util/show.ts'
import type { QueueBackend } from '../queue-backend.ts'
import { hasMethods } from './options.ts'
import type { SqsClient, SqsCredentials, SqsSdk } from './sqs-client.ts'
import { isQueueMissing, loadSqs } from './sqs-client.ts'
import { SqsQueueUrls } from './sqs-queue-urls.ts'
import { WarnOnce } from './warn-once.ts'

/** Chooses a text for one message. */
export type SqsMessageText = (queueName: string, message: string) => string

export interface SqsQueueOptions {
  /** @defaultValue what the AWS SDK finds, for example in `AWS_REGION` */
  readonly region?: string | undefined
  /** Another server than that of AWS, such as `http://localhost:4566`. All messages go there, whatever a queue's URL says. */
  readonly endpoint?: string | undefined
  /** @defaultValue what the AWS SDK finds: environment, profile, role */
  readonly credentials?: SqsCredentials | (() => Promise<SqsCredentials>) | undefined
  /** An `SQSClient`, which stays yours: it is not closed. `region`, `endpoint` and `credentials` are its own then. */
  readonly client?: SqsClient | undefined
  /** URLs of queues that need not be looked up. They are never created. */
  readonly queueUrls?: Readonly<Record<string, string>> | undefined
  /**
   * Whether a queue that does not exist is created for its first message. Requests name the queues: with `false` they can
   * only use those that are there.
   *
   * @defaultValue `true`
   */
  readonly createMissing?: boolean | undefined
  /** Attributes of queues that are created, for example `{ MessageRetentionPeriod: '86400' }`. */
  readonly attributes?: Readonly<Record<string, string>> | undefined
  /**
   * Group of a message to a `.fifo` queue. Order is kept in a group.
   *
   * @defaultValue the name that the queue has in SQS: one group
   */
  readonly messageGroupId?: string | SqsMessageText | undefined
  /**
   * SQS drops a message to a `.fifo` queue that has the same id as one of the last five minutes.
   *
   * @defaultValue SHA-256 of the text, so that a message which is sent again after a lost answer arrives once
   */
  readonly deduplicationId?: SqsMessageText | undefined
  /** @defaultValue warnings and errors on standard error */
  readonly logger?: Logger | undefined
}

/** Letters, digits, hyphens and underscores; `.fifo` may end it, and all of it is at most 80 long. */
const NAME = /^(?=.{1,80}$)[\w-]+(?:\.fifo)?$/
/** Characters of JSON text that SQS does not take, and JSON can write otherwise. */
const REFUSED = /[\ufffe\uffff]|\p{Surrogate}/gu

interface Connection {
  readonly sdk: SqsSdk
  readonly client: SqsClient
  readonly urls: SqsQueueUrls
}

/** Sends to Amazon SQS, or to a server that speaks like it. Needs the package `@aws-sdk/client-sqs`. */
export class SqsQueueBackend implements QueueBackend {
  readonly #options: SqsQueueOptions
  readonly #logger: Logger
  readonly #warnings: WarnOnce
  #connection: Promise<Connection> | undefined
  #isClosed = false

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for a `client` that is none. */
  constructor(options: SqsQueueOptions = {}) {
    const { client, logger = defaultLogger } = options
    if (client !== undefined && !hasMethods(client, 'send')) {
      throw new ConfigError('KIQ_CONFIG_INVALID', `\`client\` is ${show(client)}. Pass an \`SQSClient\`.`)
    }
    this.#options = options
    this.#logger = logger
    this.#warnings = new WarnOnce(logger)
  }

  /**
   * @returns `true` when SQS has the message; `false` for a name that no queue of SQS can have.
   * @throws {ConfigError} `KIQ_PEER_MISSING`, or `KIQ_CONFIG_INVALID` when the queue is missing and not to be created.
   * @throws {BrokerError} `KIQ_SEND_FAILED` after `close()`; and what the AWS SDK throws.
   */
  async sendMessage(queueName: string, message: string): Promise<boolean> {
    const { sdk, client, urls } = await this.#connected()
    const send = async (queueUrl: string): Promise<true> => {
      await client.send(sdk.sendMessage({ queueUrl, body: acceptable(message), ...this.#fifo(queueName, message) }))
      return true
    }
    const given = this.#givenUrl(queueName)
    if (given !== undefined) return await send(given)
    if (!NAME.test(queueName)) {
      this.#warnings.warn(queueName, `A message was not sent: no queue of SQS can be named ${show(queueName)}. ${USE}`)
      return false
    }
    const url = urls.of(queueName)
    const queueUrl = await url
    try {
      return await send(queueUrl)
    } catch (error) {
      if (!isQueueMissing(error)) throw error
      // Somebody has deleted the queue since it was looked up.
      urls.forget(queueName, url)
      return await send(await urls.of(queueName))
    }
  }

  /** Closes the connections, unless they are those of `client`. */
  async close(): Promise<void> {
    this.#isClosed = true
    const connection = await this.#connection?.catch(() => undefined)
    if (this.#options.client === undefined) connection?.client.destroy()
  }

  async #connected(): Promise<Connection> {
    if (this.#isClosed) {
      throw new BrokerError('KIQ_SEND_FAILED', 'The queue backend is closed. Close it after the last message.')
    }
    this.#connection ??= this.#connect()
    return await this.#connection
  }

  async #connect(): Promise<Connection> {
    const { region, endpoint, credentials, createMissing = true, attributes = {} } = this.#options
    const sdk = await loadSqs()
    const client = this.#options.client ?? sdk.newClient({ region, endpoint, credentials, logger: this.#logger })
    return { sdk, client, urls: new SqsQueueUrls(sdk, client, { createMissing, attributes }) }
  }

  #givenUrl(queueName: string): string | undefined {
    const { queueUrls = {} } = this.#options
    return Object.hasOwn(queueUrls, queueName) ? queueUrls[queueName] : undefined
  }

  #fifo(queueName: string, message: string): { readonly groupId?: string; readonly deduplicationId?: string } {
    const name = (this.#givenUrl(queueName) ?? queueName).split('/').at(-1) ?? ''
    if (!name.endsWith('.fifo')) return {}
    const { messageGroupId = name, deduplicationId = sha256 } = this.#options
    const groupId = typeof messageGroupId === 'string' ? messageGroupId : messageGroupId(queueName, message)
    return { groupId, deduplicationId: deduplicationId(queueName, message) }
  }
}

const USE = 'Use 1 to 80 letters, digits, hyphens and underscores, or name its URL in `queueUrls`.'

function sha256(_queueName: string, message: string): string {
  return createHash('sha256').update(message).digest('hex')
}

/** The same JSON, written so that SQS takes it. */
function acceptable(message: string): string {
  return message.replace(REFUSED, (character) => `\\u${character.charCodeAt(0).toString(16)}`)
}
