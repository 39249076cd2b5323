import { context, InMemoryBroker, rejectTask, retryTask, silentLogger, SmartRetryMiddleware } from 'kiq'

const broker = new InMemoryBroker({ logger: silentLogger }).withMiddlewares(
  // 20, 40, 80 ms …, for errors of this name. In earnest one would say '5s'.
  new SmartRetryMiddleware({ defaultDelay: '20ms', useDelayExponent: true, retryOn: ['ServiceError'] }),
)

class ServiceError extends Error {
  override readonly name = 'ServiceError'
}

// The labels switch retries on. `max_retries` counts executions, the first included, as in Taskiq.
const flaky = broker.task(
  'flaky',
  (worksAt: number) => {
    const { attempt } = context()
    console.log(`  attempt ${attempt}`)
    if (attempt < worksAt) throw new ServiceError('503')
    return `worked at attempt ${attempt}`
  },
  { labels: { retry_on_error: true, max_retries: 4 } },
)

// Or the task decides. Nothing limits it but itself.
const patient = broker.task('patient', () => {
  if (context().attempt < 3) throw retryTask({ delay: '10ms' })
  return 'now it is there'
})

const picky = broker.task('picky', (text: string) => {
  if (text === '') throw rejectTask('there is no text')
  return text.length
})

await broker.startup()

console.log('flaky, works the third time')
console.log(await (await flaky.kiq(3)).result())

console.log('flaky, never works')
const failed = await (await flaky.kiq(99)).waitResult()
console.log(failed.isErr ? `failed: ${failed.error.name}: ${failed.error.message}` : 'worked')

console.log('patient')
console.log(await (await patient.kiq()).result())

console.log('picky')
await (await picky.kiq('')).waitResult()
const letters = (await broker.transport.deadLetters?.list()) ?? []
console.log(`dead letters: ${letters.map(({ taskName, reason }) => `${taskName} (${reason})`).join()}`)

await broker.shutdown()
