import { describe, expect, it } from 'vitest'

import { startProject } from './project.ts'

describe('a task that kills every process that runs it', () => {
  it('becomes a dead letter, and takes no task along that runs beside it', async () => {
    const project = await startProject(['--processes', '1', '--concurrency', '10'])
    try {
      const { killer, work, broker } = project
      const poison = await killer.kiq()
      const beside = await work.kiqMany(Array.from({ length: 9 }, (_, n) => [n, 300]))

      const outcome = await poison.waitResult({ timeout: '60s' })
      const results = await Promise.all(beside.map((task) => task.result({ timeout: '60s' })))

      expect(outcome).toMatchObject({ isErr: true, error: { code: 'KIQ_MESSAGE_POISONED' } })
      expect(results).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16])
      const dead = await broker.transport.deadLetters?.list()
      expect(dead?.map(({ taskName, attempt }) => [taskName, attempt])).toEqual([['killer', 6]])
    } finally {
      await project.close()
    }
  }, 120_000)
})
