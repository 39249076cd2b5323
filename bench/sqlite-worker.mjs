import { Worker } from 'kiq'
import { SqliteBroker } from 'kiq/sqlite'

const [path = '', concurrency = '100'] = process.argv.slice(2)
const broker = new SqliteBroker({ path })
broker.task('add', async (/** @type {number} */ a) => a + 1)
const worker = new Worker(broker, { concurrency: Number(concurrency) })
await worker.start()
process.on('message', async () => {
  await worker.stop()
  await broker.shutdown()
  process.disconnect()
})
process.send?.('ready')
