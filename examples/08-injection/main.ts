import { InMemoryBroker } from 'kiq'
import { bind, createContainer, Enqueuer, module, setupInjection, taskMiddleware, TaskInfo, token } from 'kiq/di'

interface Mailer {
  send(to: string, text: string): Promise<void>
}
const Mailer = token<Mailer>('Mailer')
const Stock = token<Map<string, number>>('Stock')

/** What one execution changes; kept only if it ends well. */
class Transaction {
  readonly changes = new Map<string, number>()
  readonly afterCommit: (() => Promise<unknown>)[] = []
}

const infrastructure = module('infrastructure', ({ sender }: { sender: string }) => [
  bind(Stock, { create: async () => new Map([['tea', 3]]) }),
  bind(Mailer, {
    create: async () => {
      console.log('connected to the mail server')
      return { send: async (to, text) => console.log(`mail from ${sender} to ${to}: ${text}`) }
    },
    dispose: () => console.log('disconnected from the mail server'),
  }),
])

const transactions = module('transactions', [
  bind(Transaction, {
    scope: 'scoped',
    deps: { stock: Stock },
    use: async function* ({ stock }) {
      const tx = new Transaction()
      yield tx // the error of a task that fails is thrown here, so nothing is changed
      for (const [article, count] of tx.changes) stock.set(article, count)
      for (const send of tx.afterCommit) await send()
    },
  }),
])

const broker = new InMemoryBroker({ logger: { debug() {}, info() {}, warn() {}, error() {} } })

const confirm = broker.task({
  name: 'confirm',
  deps: { mailer: Mailer, info: TaskInfo },
  run: async ({ article, email }: { article: string; email: string }, { mailer, info }) =>
    await mailer.send(email, `${article} is on its way, says ${info.taskName}`),
})

const order = broker.task({
  name: 'order',
  deps: { stock: Stock, tx: Transaction, enqueuer: Enqueuer },
  run: async ({ count, ...to }: { article: string; count: number; email: string }, { stock, tx, enqueuer }) => {
    const left = (stock.get(to.article) ?? 0) - count
    tx.changes.set(to.article, left)
    tx.afterCommit.push(async () => await enqueuer.kiq(confirm, to))
    if (left < 0) throw new RangeError(`there is not enough ${to.article}`)
    return `${left} left`
  },
})

const outcomes: string[] = []
const counting = taskMiddleware({
  before: (info) => `${info.taskName} of attempt ${info.attempt}`,
  after: (_info, _result, what) => void outcomes.push(`${what} went well`),
  onError: (_info, error, what) => void outcomes.push(`${what} failed: ${String(error)}`),
})
const container = createContainer({ modules: [infrastructure({ sender: 'shop' }), transactions] })
setupInjection(broker, container, { middlewares: [counting], closeContainer: true })

await broker.startup() // checks everything, and connects to the mail server
for (const count of [2, 2]) {
  const sent = await order.kiq({ article: 'tea', count, email: 'ada@example.org' })
  await broker.waitAll()
  const outcome = await sent.waitResult()
  console.log(outcome.isErr ? outcome.error.message : outcome.returnValue)
}
console.log(outcomes)

// In tests: a fake for one execution, and the function alone.
const fake: Mailer = { send: async (to) => console.log(`nothing was sent to ${to}`) }
await broker.execute(confirm, { article: 'tea', email: 'bob' }, { overrides: [bind(Mailer, { value: fake })] })
await confirm.run({ article: 'tea', email: 'eve' }, { mailer: fake, info: TaskInfo.fake() })
await broker.shutdown()
