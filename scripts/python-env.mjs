// `node scripts/python-env.mjs`: two virtual environments with Python's Taskiq, the newest and an older one, which the
// tests of interoperation talk to. Quiet and instant when they are there. Node built-ins only, as `run.mjs`.
import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const root = join(import.meta.dirname, '..')

const environments = ['newest', 'older'].map((name) => {
  const folder = join(root, '.venv', `taskiq-${name}`)
  return {
    folder,
    place: relative(root, folder),
    python: join(folder, 'bin/python'),
    requirements: join(root, 'test/interop', `requirements-${name}.txt`),
    // What was installed; test/support/python.ts compares it too. Missing while an installation is not complete.
    installed: join(folder, 'requirements.txt'),
  }
})

try {
  const missing = environments.filter((environment) => !isThere(environment))
  if (missing.length > 0) {
    await checkPython()
    // At the same time: pip uses one core, and waits for the network.
    const outcomes = await Promise.allSettled(missing.map(create))
    for (const { status, reason } of outcomes) if (status === 'rejected') fail(reason)
  }
} catch (error) {
  fail(error)
}

function isThere({ python, requirements, installed }) {
  return existsSync(python) && existsSync(installed) && read(installed) === read(requirements)
}

async function checkPython() {
  const version = 'import sys; sys.version_info < (3, 10) and sys.exit(f"python3 is {sys.version.split()[0]}")'
  await run('python3', ['-c', version], "Python's Taskiq needs Python 3.10")
  const hint = 'python3 cannot create environments (Debian: apt-get install python3-venv)'
  await run('python3', ['-c', 'import ensurepip, venv'], hint)
}

async function create({ folder, place, python, requirements, installed }) {
  say(`creating the Python environment ${place}`)
  await run('python3', ['-m', 'venv', '--clear', folder], `${place} was not created`)
  say(`installing ${relative(root, requirements)} into ${place}`)
  // No builds from source, which take minutes and a compiler, and then fail all the same.
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary=:all:']
  await run(python, [...pip, '-r', requirements], `${place} is incomplete`)
  await run(python, ['-c', 'import taskiq_redis'], `${place} does not work`)
  copyFileSync(requirements, installed)
}

/** Fails with that message and the last line of what the program wrote to its standard error. */
function run(program, args, message) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] })
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text) => (errors += text))
    child.on('error', (error) => reject(new Error(`${message}: ${error.message}`)))
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`${message}: ${errors.trim().split('\n').at(-1) || `exit code ${code}`}`))
    })
  })
}

function read(file) {
  return readFileSync(file, 'utf8')
}

function fail(error) {
  console.error(`kiq: ${error.message}`)
  process.exitCode = 1
}

function say(text) {
  console.log(`kiq: ${text}`)
}
