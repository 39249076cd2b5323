export { FakeClock } from './fake-clock.ts'
export { fake } from './fake.ts'
export { testBroker } from './test-broker.ts'
export type { DrainOptions, TestBroker, TestBrokerOptions } from './test-broker.ts'
