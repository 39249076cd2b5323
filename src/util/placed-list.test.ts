import { describe, expect, it } from 'vitest'

import { PlacedList } from './placed-list.ts'

interface Item {
  readonly name: string
  place: number
}

function setup(...names: string[]): { list: PlacedList<Item>; items: Item[] } {
  const list = new PlacedList<Item>()
  const items = names.map((name) => ({ name, place: -1 }))
  for (const item of items) list.add(item)
  return { list, items }
}

const namesOf = (list: PlacedList<Item>): string[] => [...list].map(({ name }) => name).sort()

describe('PlacedList', () => {
  it('holds what was added and not removed, wherever it stood', () => {
    const { list, items } = setup('a', 'b', 'c', 'd')
    const [a, , c, d] = items as [Item, Item, Item, Item]

    list.delete(a)
    list.delete(d)
    list.delete(d)

    expect([namesOf(list), list.size]).toEqual([['b', 'c'], 2])
    expect(items.map((item) => list.has(item))).toEqual([false, true, true, false])
    list.delete(c)
    expect(namesOf(list)).toEqual(['b'])
  })

  it('takes an item again', () => {
    const { list, items } = setup('a', 'b')
    const [a] = items as [Item]
    list.delete(a)

    list.add(a)

    expect(namesOf(list)).toEqual(['a', 'b'])
  })

  it('goes over all items though they are removed meanwhile', () => {
    const { list } = setup('a', 'b', 'c')
    const seen: string[] = []

    for (const item of list) {
      seen.push(item.name)
      list.delete(item)
    }

    expect([seen, list.size]).toEqual([['a', 'b', 'c'], 0])
  })

  it('forgets all at once', () => {
    const { list, items } = setup('a', 'b')

    list.clear()

    expect([list.size, items.map(({ place }) => place)]).toEqual([0, [-1, -1]])
  })

  it('finds by a condition', () => {
    const { list } = setup('a', 'b', 'c')

    expect(list.filter(({ name }) => name > 'a').map(({ name }) => name)).toEqual(['b', 'c'])
  })
})
