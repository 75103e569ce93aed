/**
 * A body of each kind, by the name of its schema, as `docs/openapi.json` shows it and `/docs` proposes it. `npm run openapi` refuses
 * one that its route would refuse, and a body without one.
 */

const container = (/** @type {string} */ slug, /** @type {string} */ name) => ({
  slug,
  name,
  url: `https://${slug}.example.org`,
})
const change = { description: 'Rooms, books and tools for everybody' }
const person = { email: 'ada@example.org' }
const soon = { expires: '2036-01-01T00:00:00Z' }
const since = '2026-01-01T00:00:00Z'
const undo = { reason: 'Awarded by mistake' }

/** @type {Record<string, object>} */
export const EXAMPLES = {
  CreateSystem: { ...container('city', 'The City'), email: 'badges@city.example.org' },
  UpdateSystem: change,
  CreateIssuer: container('library', 'Public Library'),
  UpdateIssuer: change,
  CreateProgram: container('writers-room', 'Writers’ Room'),
  UpdateProgram: change,
  CreateBadge: {
    slug: 'zine-maker',
    name: 'Zine Maker',
    strapline: 'Sixteen pages of your own.',
    earnerDescription: 'You made a zine.',
    consumerDescription: 'The holder wrote, drew and printed a zine.',
    criteriaUrl: 'https://library.example.org/zine-maker',
    unique: 1,
    image: 'https://library.example.org/zine-maker.png',
    criteria: [{ description: 'Prints a zine of at least eight pages', required: 1 }],
    tags: ['print', 'paper'],
  },
  UpdateBadge: { strapline: 'Eight pages of your own.' },
  CreateBadgeInstance: { ...person, ...soon, narrative: 'Made a zine about bees.' },
  BulkBadgeInstance: { emails: ['ada@example.org', 'bo@example.org'] },
  UpdateBadgeInstance: { narrative: 'Made a zine about wild bees.', reason: 'A word was missing' },
  SuspendBadgeInstance: { reason: 'Being looked into' },
  ReinstateBadgeInstance: { reason: 'All was well' },
  RenewBadgeInstance: soon,
  CreateBadgeInstanceRevocation: { emails: ['ada@example.org'], ...undo },
  CreateBadgeInstanceJob: { rows: [{ email: 'ada@example.org' }, { email: 'bo@example.org' }] },
  RevokeBadgeInstanceJob: undo,
  CreateBadgeCode: { code: 'summer', multiuse: 1 },
  BatchBadgeCode: { count: 10 },
  RandomBadgeCode: person,
  ClaimBadgeCode: person,
  CreateBadgeApplication: {
    learner: 'ada@example.org',
    evidence: [{ url: 'https://ada.example.org/zine.jpg', reflection: 'My third.' }],
  },
  UpdateBadgeApplication: { assignedTo: 'eve@library.example.org' },
  AssignBadgeApplication: { assignedTo: 'eve@library.example.org', minutes: 30 },
  CreateBadgeApplicationReview: { author: 'eve@library.example.org', comment: 'Well bound.' },
  UpdateBadgeApplicationReview: { comment: 'Very well bound.' },
  CreateMilestone: { primaryBadgeId: 3, numberRequired: 2, action: 'issue', supportBadges: [1, 2] },
  UpdateMilestone: { numberRequired: 1 },
  BackfillMilestone: {},
  AddBadgeMilestone: { badgeId: 4 },
  RemoveBadgeMilestone: { badgeId: 4 },
  CreateWebhook: { url: 'https://city.example.org/badge-events', format: 'events-1' },
  UpdateWebhook: { state: 'disabled' },
  RecoverWebhook: { since },
  RotateWebhookSecret: { grace: 3600 },
  CreateKey: { role: 'issue', description: 'The desk' },
  UpdateKey: { role: 'read', ...soon },
  RotateKeySecret: { grace: 3600 },
  RotateSigningKey: {},
  ErasePrivacy: person,
  ExportPrivacy: person,
  VerifyPublic: { url: 'https://badges.example.org/public/assertions/0123456789abcdef' },
}
