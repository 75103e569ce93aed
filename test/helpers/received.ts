/** What the receiver of `test/node/receiver.ts` was sent. */
export type Received = { headers: Record<string, string>; body: string }

declare module 'vitest' {
  interface ProvidedContext {
    /** The receiver's origin. */
    receiver: string
  }
}
