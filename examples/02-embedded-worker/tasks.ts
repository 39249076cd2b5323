import { SqliteBroker } from 'kiq/sqlite'

export const broker = new SqliteBroker({ path: '.kiq/queue.db' })

export interface Share {
  readonly primes: number
  readonly pid: number
}

/** Counts the primes in [from, to). */
export const countPrimes = broker.task(
  'countPrimes',
  (from: number, to: number): Share => {
    let primes = 0
    for (let n = Math.max(2, from); n < to; n += 1) if (isPrime(n)) primes += 1
    return { primes, pid: process.pid }
  },
  { timeout: '1m' },
)

function isPrime(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor += 1) if (n % divisor === 0) return false
  return true
}
