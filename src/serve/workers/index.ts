export { isInferenceWorker } from './here.ts'
export { POISON } from './poison.ts'
export { WorkerHost } from './worker-host.ts'
