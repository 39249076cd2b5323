import { median } from './measure.mjs'
import { CONTENDERS } from './redis/contenders.mjs'
import { measuresOf } from './redis/measures.mjs'
import { rowsOf } from './redis/rows.mjs'
import { judge } from './redis/judge.mjs'
import { redisVersion, startServer } from './redis/server.mjs'

/**
 * @typedef {import('./redis/contenders.mjs').Contender} Contender
 * @typedef {import('./redis/rows.mjs').Shape & { readonly rounds: number, readonly scale: number, readonly openLoopSeconds: number }} Size
 */

/**
 * Kiq, bare ioredis, BullMQ and Python's Taskiq at the same tasks on one private Redis server, one at a time and taking
 * turns at every measurement.
 *
 * @param {Size} size
 */
export async function benchRedis(size) {
  const version = redisVersion()
  if (version === undefined) {
    note('there is no redis-server in PATH, so this bench is left out.')
    return []
  }
  note(`redis-server ${version}`)
  const contenders = CONTENDERS.filter(isHere)
  const figures = await takeTurns(size, contenders)
  return rowsOf(size).map((row) => {
    const rounds = figures.get(row.id) ?? new Map()
    return { ...judge(row, medians(rounds)), rounds: Object.fromEntries(rounds) }
  })
}

/** @param {Contender} contender */
function isHere(contender) {
  const found = contender.find()
  note('missing' in found ? `without ${contender.name}: ${found.missing}` : `${contender.name}: ${found.version}`)
  return !('missing' in found)
}

/**
 * @param {Size} size
 * @param {readonly Contender[]} contenders
 */
async function takeTurns(size, contenders) {
  /** @type {Map<string, Map<string, (number | string)[]>>} by id of row, then by name of contender */
  const figures = new Map()
  const server = await startServer()
  const producers = keepProducers(server.url)
  const stage = { ...size, ...server, producer: producers.of }
  /** @type {Set<string>} what has no figure, and is not tried again */
  const skipped = new Set()
  try {
    for (let round = 0; round < size.rounds; round += 1) {
      for (const measure of measuresOf(size)) {
        if (measure.once === true && round > 0) continue
        note(`round ${round + 1}/${size.rounds}, ${measure.name}`)
        for (const contender of rotated(contenders, round)) {
          const turn = `${contender.name}, ${measure.name}`
          if (skipped.has(turn)) continue
          // Now, and not in the background of what is measured.
          await server.redis.flushall('SYNC')
          try {
            const values = await measure.run(stage, contender)
            for (const [id, value] of Object.entries(values)) keep(figures, id, contender.name, value)
            if (Object.values(values).some((value) => typeof value === 'string')) skipped.add(turn)
          } catch (error) {
            note(`${turn}: ${error instanceof Error ? error.message : String(error)}`)
            process.exitCode = 1
            skipped.add(turn)
            await producers.drop(contender)
          }
        }
      }
    }
  } finally {
    await producers.dropAll()
    await server.stop()
  }
  return figures
}

/**
 * One sending process per contender for the whole run; it is idle while another has its turn.
 *
 * @param {string} url
 */
function keepProducers(url) {
  /** @type {Map<string, import('./redis/child.mjs').Child>} */
  const running = new Map()
  const drop = async (/** @type {{ readonly name: string }} */ { name }) => {
    await running.get(name)?.kill()
    running.delete(name)
  }
  return {
    of: (/** @type {Contender} */ contender) => {
      const child = running.get(contender.name) ?? contender.startProducer(url)
      running.set(contender.name, child)
      return child
    },
    drop,
    dropAll: async () => {
      for (const name of running.keys()) await drop({ name })
    },
  }
}

/**
 * @param {Map<string, Map<string, (number | string)[]>>} figures
 * @param {string} id
 * @param {string} name
 * @param {number | string} value
 */
function keep(figures, id, name, value) {
  const ofRow = figures.get(id) ?? new Map()
  figures.set(id, ofRow)
  ofRow.set(name, [...(ofRow.get(name) ?? []), value])
}

/** @param {Map<string, (number | string)[]>} rounds */
function medians(rounds) {
  return Object.fromEntries(
    [...rounds].map(([name, values]) => {
      const text = values.find((value) => typeof value === 'string')
      return [name, text ?? median(/** @type {number[]} */ (values))]
    }),
  )
}

/**
 * Another one begins in each round, so that nobody always follows the same one.
 *
 * @template T
 * @param {readonly T[]} all
 * @param {number} round
 */
function rotated(all, round) {
  const by = round % all.length
  return [...all.slice(by), ...all.slice(0, by)]
}

/** @param {string} text */
function note(text) {
  process.stderr.write(`redis: ${text}\n`)
}
