import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { Writable } from 'node:stream'

/** What `kill` takes: ids of processes, negative for a whole group. */
const targets = new Set<number>()
let watcher: Writable | undefined

/**
 * Kills that process when this one ends, however it ends.
 *
 * @param kills - `group` also reaches what the process started, and is for a child that is `detached`.
 */
export function diesWithTests(child: ChildProcess, kills: 'process' | 'group' = 'process'): void {
  if (child.pid === undefined) return
  const target = kills === 'group' ? -child.pid : child.pid
  watcher ??= startWatcher()
  targets.add(target)
  tell(watcher)
  child.once('exit', () => {
    if (kills === 'group') kill(target)
    targets.delete(target)
    if (watcher !== undefined) tell(watcher)
  })
}

/**
 * A shell that reads whom to kill, and does it when its input ends: the system closes that also for a process that was
 * killed. In a session of its own, since Ctrl-C in a terminal would end it before it has done its work.
 */
function startWatcher(): Writable {
  const program = 'while read -r line; do targets=$line; done; [ -z "$targets" ] || kill -s KILL -- $targets'
  const shell = spawn('/bin/sh', ['-c', program], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  process.on('exit', () => targets.forEach(kill))
  shell.unref()
  const { stdin } = shell
  // A pipe to a child is a socket, and as such would keep this process running.
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref()
  stdin.on('error', () => {})
  return stdin
}

function tell(shell: Writable): void {
  shell.write(`${[...targets].join(' ')}\n`)
}

function kill(target: number): void {
  try {
    process.kill(target, 'SIGKILL')
  } catch {
    // It is gone.
  }
}
