/** The name that was probably meant: at most a third of its letters differ, or only the case. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.floor(name.length / 3) + 1
  for (const other of names) {
    // Cheap bound first: that many letters have to be added or removed.
    if (Math.abs(other.length - name.length) >= bestDistance) continue
    const distance = editDistance(name.toLowerCase(), other.toLowerCase())
    if (distance < bestDistance) {
      best = other
      bestDistance = distance
    }
  }
  return best
}

/** Levenshtein's distance, by the algorithm of Wagner and Fischer with one row. */
function editDistance(a: string, b: string): number {
  const row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    let diagonal = row[0] ?? 0
    row[0] = i
    for (let j = 1; j <= b.length; j += 1) {
      const above = row[j] ?? 0
      const substitution = diagonal + (a[i - 1] === b[j - 1] ? 0 : 1)
      row[j] = Math.min(above + 1, (row[j - 1] ?? 0) + 1, substitution)
      diagonal = above
    }
  }
  return row[b.length] ?? 0
}
