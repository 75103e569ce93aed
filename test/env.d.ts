declare namespace Cloudflare {
  interface Env {
    TEST_MIGRATIONS: import('cloudflare:test').D1Migration[]
    /** The sizes of `test/budget.test.ts`, as JSON; empty for its own. */
    SCALE: string
  }
}

declare module '*?raw' {
  const text: string
  export default text
}
