import type { Transport } from '../../contract/index.ts'
import type { Contract } from './suite.ts'
import { describeContract } from './suite.ts'
import { registerDeadLetters } from './transport-dead-letters.ts'
import { registerDelivery } from './transport-delivery.ts'
import { registerEngine } from './transport-engine.ts'
import { registerLeases } from './transport-leases.ts'
import { registerLifecycle } from './transport-lifecycle.ts'
import { registerManagement } from './transport-management.ts'
import { registerOnce } from './transport-once.ts'
import { registerOrder } from './transport-order.ts'
import { registerResults } from './transport-results.ts'
import type { TransportSubject } from './transport-rig.ts'
import { TransportRig } from './transport-rig.ts'
import { registerSettling } from './transport-settling.ts'
import { registerSharing } from './transport-sharing.ts'

export type { TransportSubject } from './transport-rig.ts'

/** Which cases to register: what the implementation claims, and what the subject makes possible. */
export interface CaseParts {
  readonly contract: Contract<TransportRig>
  readonly subject: TransportSubject
  readonly transport: Transport
}

/**
 * Registers the transport contract as vitest cases. Authors of transports call this too.
 *
 * What runs follows from the capabilities that the implementation itself declares, and from the optional members of the
 * subject: give as many as the engine allows.
 *
 * @example
 * ```ts
 * import { describeTransport } from 'kiq/testing/conformance'
 * import { MyTransport } from './my-transport.ts'
 *
 * describeTransport({ name: 'MyTransport', create: () => new MyTransport(), peer: () => new MyTransport() })
 * ```
 */
export function describeTransport(subject: TransportSubject): void {
  describeContract<TransportRig>(subject, {
    open: () => TransportRig.open(subject),
    close: (rig) => rig.close(),
    register: async (contract) => {
      const transport = await subject.create()
      const parts: CaseParts = { contract, subject, transport }
      registerLifecycle(parts)
      registerDelivery(parts)
      registerSharing(parts)
      registerSettling(parts)
      registerOrder(parts)
      registerOnce(parts)
      registerLeases(parts)
      registerDeadLetters(parts)
      registerManagement(parts)
      await registerResults(parts)
      registerEngine(parts)
      await transport.stop()
    },
  })
}
