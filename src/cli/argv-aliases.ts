/** Taskiq's spellings that commander cannot have as a second name of an option. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['--workers', '--processes'],
  ['--max-async-tasks', '--concurrency'],
  ['--max-prefetch', '--prefetch'],
  ['-fsd', '--fs-discover'],
  ['-tp', '--tasks-pattern'],
])

/** Rewrites aliases to the options they stand for; `--` ends the options. */
export function withoutAliases(argv: readonly string[]): string[] {
  // Taskiq serves no models, and `--workers` is an option of its own there.
  if (argv[0] === 'serve') return [...argv]
  const end = argv.indexOf('--')
  return argv.map((text, index) => {
    if (end !== -1 && index >= end) return text
    const [flag = '', ...value] = text.split('=')
    const option = ALIASES.get(flag)
    return option === undefined ? text : [option, ...value].join('=')
  })
}
