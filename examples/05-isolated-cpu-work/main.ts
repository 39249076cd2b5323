import { broker, crash, fibonacci, runaway } from './tasks.ts'

await broker.startup()

let ticks = 0
const clock = setInterval(() => (ticks += 1), 5)
const sent = await fibonacci.kiqMany([[30], [31], [32]])
console.log(await Promise.all(sent.map((one) => one.result())))
clearInterval(clock)
console.log('the event loop went on:', ticks > 10)

const killed = await (await runaway.kiq()).waitResult()
if (killed.isErr) console.log(killed.error.code)

const crashed = await (await crash.kiq()).waitResult()
if (crashed.isErr) console.log(crashed.error.code)

// This process is as well as ever.
console.log(await (await fibonacci.kiq(10)).result())

await broker.shutdown()
