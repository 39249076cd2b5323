/** What a command tells: for machines if they ask for it, else for people. */
export function print(options: { readonly json?: true | undefined }, json: unknown, text: () => string): void {
  process.stdout.write(options.json ? JSON.stringify(json, undefined, 2) + '\n' : text())
}
