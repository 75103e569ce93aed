import { app } from './app'
import { consume } from './consume'
import type { Doorbell } from './doorbell'
import type { Bindings } from './env'
import { sweep } from './sweep'

export default {
  fetch: app.fetch,
  queue: consume,
  async scheduled(controller, env) {
    await sweep(env, controller.scheduledTime)
  },
} satisfies ExportedHandler<Bindings, Doorbell>
