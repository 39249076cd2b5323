#!/usr/bin/env node
import { runCli } from './program.ts'
import { exitProcess } from './terminal.ts'

// `kiq info … | head` ends before we do.
process.stdout.on('error', () => {})

const exitCode = await runCli(process.argv.slice(2))
// The user's module may hold timers or connections that would keep this process alive.
process.stdout.write('', () => exitProcess(exitCode))
