import { ConfigError } from '../../contract/index.ts'
import { show } from '../../util/show.ts'
import type { SqsClient, SqsSdk } from './sqs-client.ts'
import { isQueueMissing, isQueueThere } from './sqs-client.ts'

/** URLs kept; requests name the queues, so there may be any number. */
const MAX_URLS = 1_000

export interface SqsQueueUrlsOptions {
  readonly createMissing: boolean
  /** Of queues that are created. */
  readonly attributes: Readonly<Record<string, string>>
}

/** Where queues are: each is looked up once, and created once when it is missing, however many messages wait for that. */
export class SqsQueueUrls {
  readonly #sdk: SqsSdk
  readonly #client: SqsClient
  readonly #options: SqsQueueUrlsOptions
  readonly #urls = new Map<string, Promise<string>>()

  constructor(sdk: SqsSdk, client: SqsClient, options: SqsQueueUrlsOptions) {
    this.#sdk = sdk
    this.#client = client
    this.#options = options
  }

  /**
   * The same promise for the same queue, until it fails or {@link SqsQueueUrls.forget} takes it away.
   *
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` when there is no such queue, and none is to be created.
   */
  of(queueName: string): Promise<string> {
    const known = this.#urls.get(queueName)
    if (known) return known
    const url = this.#find(queueName)
    url.catch(() => this.forget(queueName, url))
    this.#urls.set(queueName, url)
    const [oldest] = this.#urls.keys()
    if (this.#urls.size > MAX_URLS && oldest !== undefined) this.#urls.delete(oldest)
    return url
  }

  /** @param url - What {@link SqsQueueUrls.of} gave; one that was found later stays. */
  forget(queueName: string, url: Promise<string>): void {
    if (this.#urls.get(queueName) === url) this.#urls.delete(queueName)
  }

  async #find(queueName: string): Promise<string> {
    try {
      return await this.#lookUp(queueName)
    } catch (error) {
      if (!isQueueMissing(error)) throw error
      if (this.#options.createMissing) return await this.#create(queueName)
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `SQS has no queue ${show(queueName)}. Create it, or drop \`createMissing: false\`.`,
        { cause: error },
      )
    }
  }

  async #create(queueName: string): Promise<string> {
    const fifo = queueName.endsWith('.fifo') ? { FifoQueue: 'true' } : {}
    try {
      const command = this.#sdk.createQueue(queueName, { ...this.#options.attributes, ...fifo })
      return urlOf(queueName, await this.#client.send(command))
    } catch (error) {
      if (isQueueThere(error)) return await this.#lookUp(queueName)
      throw error
    }
  }

  async #lookUp(queueName: string): Promise<string> {
    return urlOf(queueName, await this.#client.send(this.#sdk.getQueueUrl(queueName)))
  }
}

function urlOf(queueName: string, answer: unknown): string {
  const url = typeof answer === 'object' && answer !== null && 'QueueUrl' in answer ? answer.QueueUrl : undefined
  if (typeof url === 'string') return url
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `SQS named no URL for queue ${show(queueName)} but ${show(answer)}. Check \`endpoint\`, or set it in \`queueUrls\`.`,
  )
}
