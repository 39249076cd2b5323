import { DeleteMessageCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { buildApp } from 'fauxqs'

/** A server that speaks like SQS, in this process. */
export interface SqsServer {
  readonly endpoint: string
  readonly options: {
    readonly endpoint: string
    readonly region: string
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  }
  /** Of the test. */
  readonly client: SQSClient
  /** Names of the operations that it was asked for, oldest first, such as `SendMessage`; those of `receive` too. */
  readonly operations: readonly string[]
  /** Where that queue is; nothing is asked. */
  url(queueName: string): string
  /** Takes so many messages out of a queue, in the order of their arrival where the queue keeps it. */
  receive(queueName: string, count: number): Promise<readonly string[]>
  close(): Promise<void>
}

export async function startSqs(): Promise<SqsServer> {
  const app = buildApp({ logger: false, host: 'localhost' })
  const operations: string[] = []
  app.addHook('onRequest', async (request) => {
    operations.push(String(request.headers['x-amz-target']).replace(/^AmazonSQS\./, ''))
  })
  const endpoint = await app.listen({ port: 0, host: '127.0.0.1' })
  const options = { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } }
  const client = new SQSClient({ ...options, useQueueUrlAsEndpoint: false })
  const { port } = new URL(endpoint)
  const url = (queueName: string): string => `http://sqs.us-east-1.localhost:${port}/000000000000/${queueName}`

  const receive = async (queueName: string, count: number): Promise<readonly string[]> => {
    const bodies: string[] = []
    const QueueUrl = url(queueName)
    const deadline = performance.now() + 10_000
    while (bodies.length < count && performance.now() < deadline) {
      const command = new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 })
      const { Messages = [] } = await client.send(command)
      bodies.push(...Messages.map(({ Body = '' }) => Body))
      await Promise.all(
        Messages.map(({ ReceiptHandle }) => client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }))),
      )
    }
    return bodies
  }

  const close = async (): Promise<void> => {
    client.destroy()
    await app.close()
  }
  return { endpoint, options, client, operations, url, receive, close }
}
