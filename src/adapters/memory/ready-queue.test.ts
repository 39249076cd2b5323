import { describe, expect, it } from 'vitest'

import { Entry } from './entry.ts'
import { ReadyQueue } from './ready-queue.ts'

function entry(taskId: string, priority: number): Entry {
  return new Entry({ taskId, taskName: 'task', queue: 'q', body: '', labels: {}, priority }, 1)
}

function drain(queue: ReadyQueue): string[] {
  const drained: string[] = []
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) drained.push(next.taskId)
  return drained
}

describe('ReadyQueue', () => {
  it('gives undefined when empty', () => {
    expect([new ReadyQueue().shift(), new ReadyQueue().size]).toEqual([undefined, 0])
  })

  it('orders by priority, and by arrival within one', () => {
    const queue = new ReadyQueue()
    const priorities = [0, 3, -1, 3, 0, 0.5, -7, 9]
    for (const [index, priority] of priorities.entries()) queue.append(entry(`${index}`, priority))

    expect(drain(queue)).toEqual(['7', '1', '3', '5', '0', '4', '2', '6'])
  })

  it('puts to the front of the priority, not of the queue', () => {
    const queue = new ReadyQueue()
    queue.append(entry('high', 5))
    queue.append(entry('normal', 0))

    queue.prepend(entry('back', 0))

    expect(drain(queue)).toEqual(['high', 'back', 'normal'])
  })

  it('removes all messages of a task, and counts them', () => {
    const queue = new ReadyQueue()
    for (const [taskId, priority] of [
      ['a', 0],
      ['b', 0],
      ['a', 5],
      ['a', -1],
      ['c', -1],
    ] as const) {
      queue.append(entry(taskId, priority))
    }

    expect([queue.removeTask('a'), queue.removeTask('a'), queue.size]).toEqual([3, 0, 2])
    expect(drain(queue)).toEqual(['b', 'c'])
  })

  it('takes 20,000 different priorities without growing slow', () => {
    const queue = new ReadyQueue()
    const startedAt = performance.now()
    for (let index = 0; index < 20_000; index += 1) queue.append(entry(`${index}`, index + 1))

    expect(drain(queue).slice(0, 2)).toEqual(['19999', '19998'])
    expect(performance.now() - startedAt).toBeLessThan(2_000)
  })
})
