import type { Broker } from '../core/index.ts'
import type { ModuleSettings } from './broker-module.ts'
import { loadBroker } from './broker-module.ts'

/** Loads a broker and connects it as a client while `work` runs. */
export async function withClient<T>(settings: ModuleSettings, work: (broker: Broker) => Promise<T>): Promise<T> {
  const { broker } = await loadBroker(settings)
  await broker.startup()
  try {
    return await work(broker)
  } finally {
    await broker.shutdown()
  }
}
