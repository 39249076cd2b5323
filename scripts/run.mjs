// `npm test`, `npm run demo`, `npm run bench`, `npm run check` and `npm run build` on a fresh clone: each first installs
// and builds what is missing. Node built-ins only, since it runs before anything is installed.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const installStamp = join(root, 'node_modules/.kiq-installed')
const buildStamp = join(root, 'node_modules/.kiq-built')
const testSummary = join(root, 'node_modules/.kiq-test-summary')

/** The steps of `check` in order: what is shown, and the script of package.json or the function that does it. */
const checkSteps = [
  ['prettier', 'format:check'],
  ['eslint', 'lint'],
  ['tsc', 'typecheck'],
  ['depcruise', 'layers'],
  ['knip', 'unused'],
  ['vitest', () => test([])],
  ['build', build],
  ['publint', 'publint'],
  ['attw', 'attw'],
]

const commands = {
  test: (args) => prepared(() => test(args)),
  demo: (args) => prepared(() => node(['demo/main.mjs', ...args])),
  bench: (args) => prepared(() => node(['bench/main.mjs', ...args])),
  check: () => prepared(check),
  build: async () => (await install()) || build(),
}

// On Ctrl-C the terminal signals the child too; this process stays to pass on the child's exit code.
process.on('SIGINT', () => {})

const [what, ...args] = process.argv.slice(2)
if (Object.hasOwn(commands, what)) {
  process.exitCode = await commands[what](args)
} else {
  console.error(`Usage: node scripts/run.mjs ${Object.keys(commands).join('|')} [arguments]`)
  process.exitCode = 2
}

/** Every step answers with an exit code, so `||` reads as "and stop there when that fails". */
async function prepared(run) {
  return (await install()) || (await buildIfStale()) || run()
}

async function install() {
  const wanted = sha256([readFileSync(join(root, 'package-lock.json'))])
  if (readStamp(installStamp) === wanted) return 0
  say('installing dependencies (npm ci)')
  const code = await spawned('npm', ['ci', '--include=dev', '--loglevel=error'], {
    shell: process.platform === 'win32',
  })
  if (code === 0) writeFileSync(installStamp, wanted)
  return code
}

async function buildIfStale() {
  if (existsSync(join(root, 'dist')) && readStamp(buildStamp) === sourceDigest()) return 0
  say('building dist (tsc)')
  return build()
}

async function build() {
  const built = sourceDigest()
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  rmSync(buildStamp, { force: true })
  const code = await node(['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'])
  if (code !== 0) return code
  const cli = join(root, 'dist/cli/main.js')
  if (existsSync(cli)) chmodSync(cli, 0o755)
  writeFileSync(buildStamp, built)
  return 0
}

async function test(args) {
  await preparePython()
  say('running tests (vitest)')
  rmSync(testSummary, { force: true })
  const reporters = ['--reporter=default', '--reporter=./scripts/vitest-summary.mjs']
  const code = await node(['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...args], {
    env: { ...process.env, KIQ_TEST_SUMMARY: testSummary },
  })
  if (existsSync(testSummary)) process.stdout.write(readFileSync(testSummary))
  return code
}

/** Tests go without Python's Taskiq where it cannot be installed, and say so; what needs it needs Redis too. */
async function preparePython() {
  if (!isOnPath('redis-server') || !isOnPath('python3')) return
  const code = await node(['scripts/python-env.mjs'], { stdio: ['ignore', 'inherit', 'ignore'] })
  if (code !== 0) say("tests of interoperation have no Python's Taskiq; `node scripts/python-env.mjs` tells why")
}

async function check() {
  for (const [index, [name, step]] of checkSteps.entries()) {
    const label = `check ${index + 1}/${checkSteps.length} ${name}`
    const started = performance.now()
    const { code, output } = typeof step === 'string' ? await script(step) : { code: await step(), output: '' }
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    if (code !== 0) {
      process.stdout.write(output)
      say(`${label}: FAILED with exit code ${code} after ${seconds} s`)
      return code
    }
    say(`${label}: ok, ${seconds} s`)
  }
  return 0
}

/** Runs a script of package.json without npm's own start-up, and keeps what it prints. */
async function script(name) {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const path = [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter)
  let output = ''
  const code = await spawned(scripts[name], [], {
    shell: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: path },
    onOutput: (text) => (output += text),
  })
  return { code, output }
}

function node(args, options) {
  return spawned(process.execPath, args, options)
}

function spawned(command, args, { onOutput, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', ...options })
    const terminate = () => child.kill('SIGTERM')
    process.on('SIGTERM', terminate)
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', onOutput)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      process.off('SIGTERM', terminate)
      resolve(code ?? 128 + constants.signals[signal])
    })
  })
}

/** Changes with the content of whatever the build reads; unlike file times also when a file goes away. */
function sourceDigest() {
  const sources = readdirSync(join(root, 'src'), { recursive: true })
    .filter((path) => path.endsWith('.ts') && !/\.test(-d)?\.ts$/.test(path))
    .sort()
    .map((path) => join('src', path))
  const files = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json', ...sources]
  return sha256(files.flatMap((file) => [`\0${file}\0`, readFileSync(join(root, file))]))
}

function sha256(parts) {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

function isOnPath(program) {
  return process.env.PATH.split(delimiter).some((folder) => existsSync(join(folder, program)))
}

function readStamp(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

function say(text) {
  console.log(`kiq: ${text}`)
}
