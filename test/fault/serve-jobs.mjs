// For `kiq worker`.
import { service } from './service.mjs'

export const broker = await service.jobsBroker()
