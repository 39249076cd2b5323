/**
 * @typedef {import('./contenders.mjs').Name} Name
 * @typedef {import('./rows.mjs').Row} Row
 * @typedef {import('./rows.mjs').Aim} Aim
 * @typedef {Partial<Record<Name, number | string>>} Values a text says why there is no figure
 */

const PEERS = /** @type {const} */ (['raw', 'bullmq', 'taskiq'])

/**
 * A row with how many times better Kiq is than each of the others, and whether that is what it aims at.
 *
 * @param {Row} row
 * @param {Values} values
 */
export function judge(row, values) {
  const ratios = Object.fromEntries(PEERS.map((peer) => [peer, timesBetter(row, values.kiq, values[peer])]))
  const aims = (row.aims ?? []).map((aim) => ({ aim: inWords(aim), met: isMet(aim, ratios, values.kiq) }))
  return { suite: 'redis', ...row, values, ratios, aims }
}

/** @typedef {ReturnType<typeof judge>} JudgedRow */

/**
 * @param {Row} row
 * @param {number | string | undefined} kiq
 * @param {number | string | undefined} peer
 */
function timesBetter({ better }, kiq, peer) {
  if (typeof kiq !== 'number' || typeof peer !== 'number') return undefined
  return better === 'higher' ? kiq / peer : peer / kiq
}

/**
 * @param {Aim} aim
 * @param {Record<string, number | undefined>} ratios
 * @param {number | string | undefined} kiq
 */
function isMet(aim, ratios, kiq) {
  if ('atMost' in aim) return typeof kiq === 'number' ? kiq <= aim.atMost : undefined
  const ratio = ratios[aim.peer]
  return ratio === undefined ? undefined : ratio >= aim.times
}

/** @param {Aim} aim */
function inWords(aim) {
  if ('atMost' in aim) return `at most ${aim.atMost}`
  return aim.times < 1 ? `${aim.times * 100} % of ${aim.peer}` : `${aim.times} × ${aim.peer}`
}
