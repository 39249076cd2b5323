import { synthesize } from './audio/synthesis.ts'
import { writeWav } from './audio/wav.ts'
import { service } from './service.ts'
import { FRAME, RATE } from './vad/silero.ts'

const server = await service.listen({ port: 0 })

const post = async (path: string, body: unknown, accept = 'application/json'): Promise<Response> =>
  await fetch(`${server.url}/models/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
    body: JSON.stringify(body),
  })

const recording = synthesize(
  [
    { kind: 'silence', seconds: 1 },
    { kind: 'speech', seconds: 1.6, vowels: ['a', 'e', 'i', 'o', 'u', 'a', 'e', 'o'] },
    { kind: 'noise', seconds: 1.5 },
    { kind: 'tone', seconds: 1 },
    { kind: 'speech', seconds: 2, vowels: ['o', 'i', 'a', 'e', 'u', 'a', 'i', 'e', 'o', 'a'] },
    { kind: 'silence', seconds: 0.9 },
  ],
  RATE,
)

// A whole recording: a line for each segment with speech, as soon as it has ended.
const wav = Buffer.from(writeWav(recording)).toString('base64')
const answer = await post('clips/predict_sync', { wav }, 'application/x-ndjson')
for await (const line of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) process.stdout.write(line)

// Twenty live streams: each sends 32 ms, and what it was told last. Frames that come together are one run of the network.
const FRAMES = 64

async function live(): Promise<number> {
  let state: string | undefined
  let withSpeech = 0
  for (let i = 0; i < FRAMES; i += 1) {
    const frame = recording.samples.slice(i * FRAME, (i + 1) * FRAME)
    const samples = Buffer.from(frame.buffer).toString('base64')
    const heard = (await (await post('frames/predict_sync', { samples, state })).json()) as {
      speech: number
      state: string
    }
    state = heard.state
    if (heard.speech > 0.5) withSpeech += 1
  }
  return withSpeech
}
const streams = await Promise.all(Array.from({ length: 20 }, live))
console.log(streams.length, 'streams with speech in', streams[0], 'of', FRAMES, 'frames')

// A long recording as a job: it tells how far it has come, and its outcome is kept.
const { samples } = recording
const long = writeWav({
  rate: RATE,
  samples: Float32Array.from({ length: 12 * samples.length }, (_, i) => samples[i % samples.length] ?? 0),
})
const accepted = await post('clips/predict_async', { message: { wav: Buffer.from(long).toString('base64') } })
const { job_id } = (await accepted.json()) as { job_id: string }
const events = await fetch(`${server.url}/jobs/${job_id}/events`)
const told = new Set([...(await events.text()).matchAll(/^event: (.+)$/gm)].map(([, event]) => event))
const job = (await (await fetch(`${server.url}/jobs/${job_id}`)).json()) as { state: string; result: { segments: [] } }
console.log('job', job.state, 'with', job.result.segments.length, 'segments, after', [...told].sort())

await server.close()
