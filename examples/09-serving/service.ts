import { InferenceService, InMemoryQueueBackend, loadServeConfig } from 'kiq/serve'

import { CodeInput, LanguageOutput, LanguagePipeline } from './language.ts'

export const queues = new InMemoryQueueBackend()

export const service = new InferenceService({
  modelName: 'language',
  pipeline: LanguagePipeline,
  input: CodeInput,
  output: LanguageOutput,
  config: await loadServeConfig('kiq.yaml'),
  queueBackend: queues,
  // A model computes, and would keep the server waiting: it runs in a process of its own.
  workers: { module: import.meta.resolve('./language.ts') },
})
