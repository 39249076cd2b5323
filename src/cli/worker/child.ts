/** Program of a worker process: obeys the supervisor, see {@link ChildSession}. */
import type { Logger } from '../../contract/index.ts'
import { startWatchdog } from '../../core/index.ts'
import { EXIT } from '../exit-codes.ts'
import { createLogger } from '../log.ts'
import { exitProcess } from '../terminal.ts'
import { ChildSession } from './child-session.ts'
import { killAfterMs } from './deadlines.ts'
import type { FromChild, ToChild } from './messages.ts'
import { unwrapToChild, wrap } from './messages.ts'

const parentPid = process.ppid
let session: ChildSession | undefined
let log: Logger | undefined

// Ctrl-C and the end of a terminal signal the whole process group; the supervisor tells what they mean.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
process.on('SIGTERM', () => stop('finish'))
process.on('disconnect', () => {
  log?.warn({}, 'The supervisor is gone; stopping.')
  stop('finish')
})
// Whoever read the output may end before us.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

process.on('unhandledRejection', (reason) => {
  log?.error(
    { err: reason },
    'A promise was rejected and nobody handled that; the worker goes on. Await every promise of a task, or catch it.',
  )
})
process.on('uncaughtException', fail)

process.on('message', (raw) => {
  const message = unwrapToChild(raw)
  switch (message?.type) {
    case 'start':
      start(message).catch(fail)
      return
    case 'stop':
      stop(message.running)
      return
    case 'reclaim':
      void session?.reclaim(message.workerId)
      return
    case undefined:
  }
})

async function start({ role, settings }: Extract<ToChild, { type: 'start' }>): Promise<void> {
  const watchdog = startWatchdog({ parentPid, orphanDeadlineMs: killAfterMs(settings.deadlines, 'finish') })
  log = await createLogger(settings.log, role)
  session = new ChildSession({ settings, log, watchdog, send, exit: exitProcess })
  await session.run()
}

function fail(error: unknown): void {
  if (log === undefined)
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  log?.error(
    { err: error },
    'An exception escaped from a callback or an event listener; this worker process ends, and its tasks go to others.',
  )
  exitProcess(EXIT.FAILED)
}

function stop(running: 'finish' | 'abort'): void {
  if (session) session.stop(running)
  else exitProcess(EXIT.OK)
}

function send(message: FromChild): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(wrap(message), undefined, undefined, () => resolve())
    else resolve()
  })
}
