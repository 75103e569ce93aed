import { Hono } from 'hono'
import { authenticate } from './auth'
import type { Env } from './env'
import { idempotent } from './idempotency'
import { levels } from './levels'
import { onError } from './onError'
import { routedPath } from './paths'
import {
  atOrigin,
  callers,
  configured,
  database,
  logged,
  readBody,
  routable,
  unkept,
} from './pipeline'
import { slowed } from './rateLimit'
import { quickRouter } from './router'
import { applications } from './routes/applications'
import { audit } from './routes/audit'
import { awardLife } from './routes/awardLife'
import { badges } from './routes/badges'
import { codes } from './routes/codes'
import { containers } from './routes/containers'
import { deliveries } from './routes/deliveries'
import { health } from './routes/health'
import { instances } from './routes/instances'
import { jobs } from './routes/jobs'
import { keys } from './routes/keys'
import { milestones } from './routes/milestones'
import { openBadges } from './routes/openbadges'
import { privacy } from './routes/privacy'
import { publicRoutes } from './routes/public'
import { reviewQueue } from './routes/reviewQueue'
import { reviews } from './routes/reviews'
import { signingKeys } from './routes/signingKeys'
import { stats } from './routes/stats'
import { verifyRoutes } from './routes/verify'
import { webhooks } from './routes/webhooks'

/** What hangs from a container: written once, mounted at the three levels. */
const contained = new Hono<Env>()
for (const routes of [
  badges,
  codes,
  jobs,
  instances,
  awardLife,
  applications,
  reviewQueue,
  reviews,
  keys,
  signingKeys,
  stats,
]) {
  contained.route('/', routes)
}

const app = new Hono<Env>({ router: quickRouter(), getPath: routedPath })

app.use(
  logged,
  configured,
  routable(() => app.router),
  atOrigin,
  database,
)
// Before the others: browsers may POST to it.
app.route(
  '/',
  verifyRoutes((request, c) => Promise.resolve(app.fetch(request, c.env, c.executionCtx))),
)
app.route('/', publicRoutes)
app.route('/', health)
app.route('/', openBadges)
// ── Everything below needs a signature ──
app.use(unkept, readBody, slowed(authenticate), callers, idempotent)
app.route('/', containers)
app.route('/', milestones)
app.route('/', webhooks)
app.route('/', deliveries)
app.route('/', audit)
app.route('/', privacy)
for (const { path } of levels) app.route(path, contained)
app.onError(onError)

export { app }
