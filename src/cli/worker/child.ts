/** Program of a worker process: obeys the supervisor, see {@link ChildSession}. */
import type { Logger } from '../../contract/index.ts'
import type { ExitCode } from '../exit-codes.ts'
import { EXIT } from '../exit-codes.ts'
import { createLogger } from '../log.ts'
import { ChildSession } from './child-session.ts'
import { killAfterMs } from './deadlines.ts'
import type { FromChild, ToChild } from './messages.ts'
import { unwrapToChild, wrap } from './messages.ts'
import { startWatchdog } from './watchdog.ts'

const supervisorPid = process.ppid
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
process.on('uncaughtException', (error) => {
  log?.error(
    { err: error },
    'An exception escaped from a callback or an event listener; this worker process ends, and its tasks go to others.',
  )
  exit(EXIT.FAILED)
})

process.on('message', (raw) => {
  const message = unwrapToChild(raw)
  switch (message?.type) {
    case 'start':
      void start(message)
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
  const watchdog = startWatchdog({ supervisorPid, orphanDeadlineMs: killAfterMs(settings.deadlines, 'finish') })
  log = await createLogger(settings.log, role)
  session = new ChildSession({ settings, log, watchdog, send, exit })
  await session.run()
}

function stop(running: 'finish' | 'abort'): void {
  if (session) session.stop(running)
  else exit(EXIT.OK)
}

function send(message: FromChild): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(wrap(message), undefined, undefined, () => resolve())
    else resolve()
  })
}

function exit(code: ExitCode): void {
  process.exit(code)
}
