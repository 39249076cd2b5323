const UUID_V7 = /^(?<high>[0-9a-f]{8})-?(?<low>[0-9a-f]{4})-?7[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i

/**
 * When an id was made, if it says so: Kiq's ids are UUIDs of version 7, whose first 48 bits are milliseconds since the
 * epoch (RFC 9562, section 5.7).
 */
export function sentAt(taskId: string): Date | undefined {
  const parts = UUID_V7.exec(taskId)?.groups
  return parts ? new Date(Number.parseInt(`${parts['high']}${parts['low']}`, 16)) : undefined
}
