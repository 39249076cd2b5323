import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { CodeInput, LanguageOutput, LanguagePipeline } from '../../../examples/09-serving/language.ts'
import { silentLogger } from '../../../src/contract/index.ts'
import { runPipeline } from '../../../src/serve/run-pipeline.ts'

const SNIPPETS: Readonly<Record<string, string>> = {
  py: `import json
from pathlib import Path

def load(path: Path) -> dict:
    with path.open() as file:
        return json.load(file)

if __name__ == "__main__":
    print(load(Path("settings.json")).get("name", "nobody"))
`,
  ts: `interface User {
  readonly id: number
  name: string
}

export async function load(id: number): Promise<User> {
  const response = await fetch(\`/users/\${id}\`)
  return (await response.json()) as User
}
`,
  rs: `use std::collections::HashMap;

fn count(words: &[&str]) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for word in words {
        *counts.entry(word.to_string()).or_insert(0) += 1;
    }
    counts
}
`,
  go: `package main

import "fmt"

func main() {
	numbers := []int{1, 2, 3}
	for i, n := range numbers {
		fmt.Printf("%d: %d\\n", i, n)
	}
}
`,
  sql: `SELECT customers.name, COUNT(*) AS orders
FROM customers
JOIN orders ON orders.customer_id = customers.id
WHERE orders.placed_at > '2026-01-01'
GROUP BY customers.name
ORDER BY orders DESC;
`,
  java: `package shop;

import java.util.List;

public class Basket {
    private final List<Item> items;

    public Basket(List<Item> items) {
        this.items = items;
    }

    public int total() {
        return items.stream().mapToInt(Item::price).sum();
    }
}
`,
  html: `<!doctype html>
<html>
  <head><title>Shop</title><link rel="stylesheet" href="shop.css" /></head>
  <body>
    <h1>Tea</h1>
    <p>Green or <em>black</em>?</p>
  </body>
</html>
`,
  sh: `#!/bin/bash
set -euo pipefail
for file in *.log; do
  if [ -s "$file" ]; then
    gzip "$file" && echo "packed $file"
  fi
done
`,
}
const short = { code: '  x = 1  ' }
const never = new AbortController().signal

describe('language detection', () => {
  const pipeline = new LanguagePipeline({
    modelName: 'language',
    modelFolder: '.',
    common: {},
    settings: { candidates: 2 },
    log: silentLogger,
  })

  beforeAll(async () => await pipeline.warmup())
  afterAll(() => pipeline.teardown())

  it('knows the language of real code, with as many candidates as the settings allow', async () => {
    const inputs = Object.values(SNIPPETS).map((code) => CodeInput.parse({ code }))

    const outcomes = await runPipeline(pipeline, inputs, { signal: never })

    const outputs = outcomes.map((outcome) => LanguageOutput.parse('output' in outcome && outcome.output))
    expect(outputs.map(({ language }) => language)).toEqual(Object.keys(SNIPPETS))
    for (const { language, confidence, candidates } of outputs) {
      expect(candidates).toHaveLength(2)
      expect(candidates[0]).toEqual({ language, confidence })
      expect(candidates[1]?.confidence).toBeLessThanOrEqual(confidence)
    }
  })

  it('fails a code that is too short, and none of its neighbours', async () => {
    const good = { code: SNIPPETS['py'] ?? '' }

    const outcomes = await runPipeline(pipeline, [good, short, good], { signal: never })

    expect(outcomes).toMatchObject([
      { output: { status: 'success', language: 'py' } },
      { output: { status: 'error', error: expect.stringContaining('20 characters') } },
      { output: { status: 'success', language: 'py' } },
    ])
  })

  it('stops between two texts when nobody waits any more', async () => {
    const given = new AbortController()
    const running = runPipeline(pipeline, [{ code: SNIPPETS['py'] ?? '' }, { code: SNIPPETS['go'] ?? '' }], given)
    given.abort(new Error('gone'))

    expect(await running).toEqual([{ error: given.signal.reason }, { error: given.signal.reason }])
  })
})
