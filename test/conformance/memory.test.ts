import { InMemoryScheduleSource, MemoryResultBackend, MemoryTransport } from '../../src/adapters/memory/index.ts'
import { silentLogger } from '../../src/contract/index.ts'
import type { ResultBackend, Transport } from '../../src/contract/index.ts'
import {
  describeLogger,
  describeResultBackend,
  describeScheduleSource,
  describeTransport,
} from '../../src/testing/conformance/index.ts'

const resultsOf = new WeakMap<Transport, ResultBackend>()

// What comes at all comes in the next turn of the event loop.
const quietMs = 20

describeTransport({ name: 'MemoryTransport', create: () => new MemoryTransport(), quietMs })

describeTransport({
  name: 'MemoryTransport that joins a MemoryResultBackend',
  create: () => {
    const results = new MemoryResultBackend({ maxStoredResults: -1 })
    const transport = new MemoryTransport({ results })
    resultsOf.set(transport, results)
    return transport
  },
  results: (transport) => resultsOf.get(transport) as ResultBackend,
  quietMs,
})

describeResultBackend({
  name: 'MemoryResultBackend without a limit',
  create: () => new MemoryResultBackend({ maxStoredResults: -1 }),
})

describeResultBackend({
  name: 'MemoryResultBackend with a limit',
  create: () => new MemoryResultBackend({ maxStoredResults: 1_000 }),
})

describeScheduleSource({ name: 'InMemoryScheduleSource', create: () => new InMemoryScheduleSource() })

describeLogger({ name: 'silentLogger', create: () => silentLogger })
