import { queues, service } from './service.ts'

const server = await service.listen({ port: 0 })

async function post<T>(path: string, body: unknown): Promise<T> {
  const headers = { 'content-type': 'application/json', authorization: 'Bearer your-token' }
  const answer = await fetch(server.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
  return (await answer.json()) as T
}

type Answer = { readonly status: string; readonly error: string | null; readonly language?: string }
const go = {
  code: 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfor i := 0; i < 3; i++ {\n\t\tfmt.Println(i)\n\t}\n}\n',
}
const sql = { code: 'SELECT name, COUNT(*) FROM orders GROUP BY name HAVING COUNT(*) > 2 ORDER BY name;' }
const short = { code: 'x = 1' }

console.log(await post('/predict_sync', sql))

// What the model cannot do fails alone.
const outputs = await post<Answer[]>('/predict_batch', [go, short, sql])
for (const { status, language, error } of outputs) console.log(status, language ?? error)

// Nobody waits: the outcome goes to a queue.
await post('/predict_async', { message: go, success_queue: 'languages', meta: { file: 'main.go' } })
console.log(await queues.take('languages', { timeout: '20s' }))

// What does not fit the schema never reaches the model.
const { status, code } = await post<{ status: number; code: string }>('/predict_sync', { text: 'SELECT 1' })
console.log(status, code)

await server.close()
