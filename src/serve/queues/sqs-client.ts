import { ConfigError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'

/** The part of an `SQSClient` of the AWS SDK, version 3, that we use. */
export interface SqsClient {
  send(command: object): Promise<unknown>
  destroy(): void
}

export interface SqsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface SqsClientOptions {
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly credentials?: SqsCredentials | (() => Promise<SqsCredentials>) | undefined
  readonly logger: Logger
}

/** The part of the module `@aws-sdk/client-sqs` that we use. */
export interface SqsSdk {
  readonly newClient: (options: SqsClientOptions) => SqsClient
  readonly getQueueUrl: (queueName: string) => object
  readonly createQueue: (queueName: string, attributes: Readonly<Record<string, string>>) => object
  readonly sendMessage: (message: SqsMessage) => object
}

export interface SqsMessage {
  readonly queueUrl: string
  readonly body: string
  /** For `.fifo` queues. */
  readonly groupId?: string | undefined
  readonly deduplicationId?: string | undefined
}

const CONNECT_TIMEOUT_MS = 5_000
/** Longer than an attempt of the service, which therefore decides. */
const REQUEST_TIMEOUT_MS = 30_000

/**
 * The SDK, loaded when the first message is sent.
 *
 * @throws {ConfigError} `KIQ_PEER_MISSING` with the install command.
 */
export async function loadSqs(): Promise<SqsSdk> {
  const sdk = await import('@aws-sdk/client-sqs').catch((cause: unknown) => {
    throw new ConfigError(
      'KIQ_PEER_MISSING',
      'Queues in SQS need the package "@aws-sdk/client-sqs", which is not installed. Run ' +
        '`npm install @aws-sdk/client-sqs`.',
      { cause },
    )
  })
  return {
    newClient: ({ region, endpoint, credentials, logger }) =>
      new sdk.SQSClient({
        ...(region === undefined ? {} : { region }),
        ...(credentials === undefined ? {} : { credentials }),
        // The URLs of queues name a host of their own, which need not exist where an endpoint has to be given.
        ...(endpoint === undefined ? {} : { endpoint, useQueueUrlAsEndpoint: false }),
        // The service tries again.
        maxAttempts: 1,
        requestHandler: {
          connectionTimeout: CONNECT_TIMEOUT_MS,
          requestTimeout: REQUEST_TIMEOUT_MS,
          throwOnRequestTimeout: true,
          logger: sdkLogger(logger),
        },
      }),
    getQueueUrl: (QueueName) => new sdk.GetQueueUrlCommand({ QueueName }),
    createQueue: (QueueName, Attributes) => new sdk.CreateQueueCommand({ QueueName, Attributes }),
    sendMessage: ({ queueUrl, body, groupId, deduplicationId }) =>
      new sdk.SendMessageCommand({
        QueueUrl: queueUrl,
        MessageBody: body,
        ...(groupId === undefined ? {} : { MessageGroupId: groupId }),
        ...(deduplicationId === undefined ? {} : { MessageDeduplicationId: deduplicationId }),
      }),
  }
}

/** Whether SQS says that there is no such queue. */
export function isQueueMissing(error: unknown): boolean {
  return ['QueueDoesNotExist', 'NonExistentQueue'].includes(nameOf(error))
}

/** The queue was made meanwhile, with other attributes. */
export function isQueueThere(error: unknown): boolean {
  return ['QueueNameExists', 'QueueAlreadyExists'].includes(nameOf(error))
}

/** Without what some servers write before it, as in `AWS.SimpleQueueService.NonExistentQueue`. */
function nameOf(error: unknown): string {
  return error instanceof Error ? (error.name.split('.').at(-1) ?? '') : ''
}

/** Without it the SDK writes to the console when many messages wait for a connection, which is harmless. */
function sdkLogger(logger: Logger): Record<'debug' | 'error' | 'info' | 'trace' | 'warn', (text: unknown) => void> {
  const note = (text: unknown): void => logger.debug({ text: String(text) }, 'A note of the AWS SDK.')
  return { trace() {}, debug() {}, info() {}, warn: note, error: note }
}
