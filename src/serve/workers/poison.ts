const MAX_CAUSES = 16

/**
 * Errors after which a process has to be replaced: those of a GPU, whose context is lost for everything that follows or
 * whose memory stays taken.
 */
export const POISON: readonly RegExp[] = [
  /\b(CUDA|HIP) (error|failure)/i,
  /\b(CUDA|HIP)\b.*\bout of memory/i,
  /\b(cuda|hip)Error[A-Z]/,
  /device-side assert/i,
  /illegal memory access/i,
  /\bCU(BLAS|DNN|FFT|SOLVER|SPARSE)_STATUS_(?!SUCCESS)/,
  /\b(ROCBLAS|HIPBLAS|MIOPEN|NCCL)_?STATUS_?(?!SUCCESS)/i,
  /\bdevice (was )?lost\b/i,
]

/** Whether the name and message of an error, or of one of its causes (at most 16), match a pattern. */
export function isPoison(error: unknown, patterns: readonly RegExp[]): boolean {
  let current = error
  for (let depth = 0; depth <= MAX_CAUSES && current instanceof Error; depth += 1) {
    const text = `${current.name}: ${current.message}`
    // `search` starts at the front, also with patterns that have state.
    if (patterns.some((pattern) => text.search(pattern) !== -1)) return true
    current = current.cause
  }
  return false
}
