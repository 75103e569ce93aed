/** The platform alone: what any request costs before a Worker has done anything. */
export default {
  fetch: () => new Response('hello'),
}
