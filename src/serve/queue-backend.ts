/**
 * Where the outcomes of asynchronous requests are announced: one method, as in ModalKit. A pipeline's service sends each
 * outcome as JSON text to the queue that the request named.
 *
 * A backend makes one attempt per call. Trying again, logging, counting and noting it in the record of the job are the
 * service's: see `QueueSender`.
 */
export interface QueueBackend {
  /**
   * @param queueName - As the request named it, never empty.
   * @param message - JSON text.
   * @returns `true` when the message was accepted; `false` when it was not. A rejection counts as `false`, and its error is
   *   logged.
   */
  sendMessage(queueName: string, message: string): Promise<boolean>
  /** Closes connections that the backend opened itself. Harmless when called twice. */
  close?(): Promise<void>
}
