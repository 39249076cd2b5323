export interface Gpus {
  readonly count: number
  /** Of devices of one machine, where they were given as such: `0`, `cuda:1`, `GPU-8a3f…`. */
  readonly devices: readonly string[]
  /** As given: `T4`, `A100:2`. One of them is enough. */
  readonly types: readonly string[]
}

/** What the names in `gpu` ask for. Numbers and ids are devices, all of which are wanted; types are alternatives, as on Modal. */
export function gpusOf(names: readonly string[]): Gpus {
  const devices = new Set<string>()
  const types = new Set<string>()
  for (const name of names.map((one) => one.trim())) {
    if (/^(cpu|none|)$/i.test(name)) continue
    const device = /^(?:(?:cuda|gpu):?)?(?<index>\d+)$/i.exec(name)?.groups?.['index']
    if (device !== undefined) devices.add(String(Number(device)))
    else if (/^(GPU|MIG)-[\w-]+$/.test(name)) devices.add(name)
    else types.add(name)
  }
  const most = Math.max(0, ...[...types].map((type) => Math.max(1, Number(/:(\d+)$/.exec(type)?.[1] ?? 1))))
  return { count: Math.max(devices.size, most), devices: [...devices], types: [...types] }
}
