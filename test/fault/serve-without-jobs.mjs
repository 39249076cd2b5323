// As `serve-main.mjs`, but others execute the jobs.
import { setRunSettings } from './node_modules/kiq/dist/serve/run-settings.js'

setRunSettings({ jobsWorker: false })
await import('./main.mjs')
