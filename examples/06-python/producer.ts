import { RedisStreamBroker } from 'kiq/redis'

interface Statistics {
  readonly words: number
  readonly medianLength: number
  readonly mostCommon: readonly (readonly [word: string, count: number])[]
}

const broker = new RedisStreamBroker({ url: process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379' })

// Executed by worker.py; here it has a name and types.
const textStatistics = broker.externalTask<[text: string], Statistics>('text:statistics', { queue: 'python' })

await broker.startup()

const sent = await textStatistics.kiqMany([['To be, or not to be'], ['The rest is silence']])
for (const task of sent) console.log(JSON.stringify(await task.result({ timeout: '1m' })))

// By the names of Python's parameters.
const keywords = await textStatistics.kicker().withKwargs({ text: 'Words, words, words', top: 1 }).kiq()
console.log((await keywords.result({ timeout: '1m' })).mostCommon)

const failed = await (await textStatistics.kiq('…')).waitResult({ timeout: '1m' })
if (failed.isErr) console.log(`${failed.error.name}: ${failed.error.message}`)

await broker.shutdown()
