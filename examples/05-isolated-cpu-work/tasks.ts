import { InMemoryBroker, silentLogger } from 'kiq'

export const broker = new InMemoryBroker({ logger: silentLogger })

// Tells the thread or process what to load. Tasks of the module given to `kiq worker` need not say it.
const module = import.meta.url

export const fibonacci = broker.task(
  'fibonacci',
  (n: number): number => {
    const compute = (k: number): number => (k < 2 ? k : compute(k - 1) + compute(k - 2))
    return compute(n)
  },
  { isolate: 'thread', module },
)

export const runaway = broker.task(
  'runaway',
  () => {
    for (;;);
  },
  { isolate: 'process', module, timeout: '2s' },
)

export const crash = broker.task('crash', () => process.abort(), { isolate: 'process', module })
