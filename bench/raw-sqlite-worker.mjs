import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'

import { openRaw, rawConsumer } from './raw-sqlite.mjs'

const [path = '', batch = '100'] = process.argv.slice(2)
const database = await openRaw(path)
const consume = rawConsumer(database, Number(batch))
let running = true
process.on('message', () => {
  running = false
})
process.send?.('ready')
while (running) {
  if (consume() === 0) await pause(1)
  else await turn()
}
database.close()
process.disconnect()
