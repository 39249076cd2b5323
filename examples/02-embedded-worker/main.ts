import { broker, countPrimes } from './tasks.ts'

const SHARE = 10_000

await broker.startup()

const calls = Array.from({ length: 20 }, (_, i): [number, number] => [i * SHARE, (i + 1) * SHARE])
const sent = await countPrimes.kiqMany(calls)
console.log(`sent ${sent.length} tasks`)

const shares = await Promise.all(sent.map((task) => task.result({ timeout: '1m' })))

console.log(`${shares.reduce((sum, { primes }) => sum + primes, 0)} primes below ${calls.length * SHARE}`)
console.log(`counted by this process: ${shares.filter(({ pid }) => pid === process.pid).length}`)

await broker.shutdown()
