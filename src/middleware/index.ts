export type { RetryOn, RetryPolicyOptions } from './retry-policy.ts'
export { SimpleRetryMiddleware } from './simple-retry.ts'
export { SmartRetryMiddleware } from './smart-retry.ts'
export type { SmartRetryOptions } from './smart-retry.ts'
