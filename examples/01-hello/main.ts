import { gather, InMemoryBroker, silentLogger } from 'kiq'

const broker = new InMemoryBroker({ logger: silentLogger })

const add = broker.task('add', (a: number, b: number) => a + b)

const greet = broker.task({
  name: 'greet',
  run: async ({ name, polite = false }: { name: string; polite?: boolean }) => `${polite ? 'Good day' : 'Hi'}, ${name}`,
})

const divide = broker.task('divide', (a: number, b: number) => {
  if (b === 0) throw new RangeError('division by zero')
  return a / b
})

await broker.startup()

// A task is still a function: this runs here, without the broker.
console.log(add(1, 2))

// This sends it. The handle waits for the result.
const sum = await add.kiq(20, 22)
console.log(await sum.result())

// Many at once.
const sums = await add.kiqMany([
  [1, 1],
  [2, 2],
  [3, 3],
])
console.log(await Promise.all(sums.map((one) => one.result())))

// Different tasks, with their outcomes: a failure is one, too.
const [hello, half, never] = await gather([
  await greet.kiq({ name: 'Ada', polite: true }),
  await divide.kiq(1, 2),
  await divide.kiq(1, 0),
])
if (!hello.isErr) console.log(hello.returnValue)
if (!half.isErr) console.log(half.returnValue)
if (never.isErr) console.log(`${never.error.name}: ${never.error.message}`)

await broker.shutdown()
