/**
 * `npm run seed`: a small organisation that looks real, made through the HTTP API of the running server. It can run
 * again: what is there already is left alone.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { crc32, deflateSync } from 'node:zlib'
import { explain, findClient, signedFetch } from './sign.mjs'

const CREDIT =
  'Icons by Lorc, Delapouite and contributors of game-icons.net, CC BY 3.0; colours and shapes added'

// ---- The organisation

const SYSTEM = {
  slug: 'riverton',
  name: 'Riverton City of Learning',
  url: 'https://riverton.example.org',
  email: 'learning@riverton.example.org',
  description:
    'Libraries, museums and clubs of Riverton recognise what people learn outside of school, in one common record.',
  art: { icon: 'modern-city', shape: 'circle', colors: ['#2f6fed', '#163a8a'] },
}

const ISSUERS = [
  {
    slug: 'public-library',
    name: 'Riverton Public Library',
    url: 'https://library.riverton.example.org',
    email: 'badges@library.riverton.example.org',
    description: 'Eleven branches, one bookmobile, and a quiet room for everyone who needs one.',
    art: { icon: 'bookshelf', shape: 'circle', colors: ['#e4572e', '#8f2d12'] },
    program: {
      slug: 'writers-room',
      name: 'Writers’ Room',
      url: 'https://library.riverton.example.org/writers-room',
      email: 'writers@library.riverton.example.org',
      description:
        'Weekly evenings for people of 12 to 19 who write, draw and print their own work.',
      art: { icon: 'scroll-quill', shape: 'circle', colors: ['#b23a6f', '#5e1738'] },
    },
  },
  {
    slug: 'science-museum',
    name: 'Riverton Science Museum',
    url: 'https://museum.riverton.example.org',
    email: 'badges@museum.riverton.example.org',
    description:
      'A museum of questions: exhibits to take apart, a roof observatory and an open laboratory.',
    art: { icon: 'erlenmeyer', shape: 'circle', colors: ['#12908e', '#0a4a5c'] },
    program: {
      slug: 'robot-lab',
      name: 'Robot Lab',
      url: 'https://museum.riverton.example.org/robot-lab',
      email: 'robots@museum.riverton.example.org',
      description: 'Six Saturdays from a box of parts to a machine that finds its own way home.',
      art: { icon: 'circuitry', shape: 'circle', colors: ['#5b6c83', '#27323f'] },
    },
  },
]

const LIBRARY = '/systems/riverton/issuers/public-library'
const MUSEUM = '/systems/riverton/issuers/science-museum'

/** Each with the path of its container; `art` is drawn, `medal` stands for the PNG. */
const BADGES = [
  {
    at: '/systems/riverton',
    slug: 'city-explorer',
    name: 'City Explorer',
    type: 'experience',
    strapline: 'Five places, five questions, one map of your own.',
    earnerDescription:
      'You visited five learning places in Riverton, asked somebody who works there a question, and drew what you found on your own map of the city.',
    consumerDescription:
      'The holder explored at least five libraries, museums or studios in Riverton on their own initiative, interviewed a member of staff at each, and presented the result as an annotated map.',
    timeValue: 2,
    timeUnits: 'weeks',
    evidenceType: 'Photo',
    criteria: [
      ['Visits five different learning places, at least two of them for the first time.', 1],
      ['Asks one prepared question at each place and writes down the answer in own words.', 1],
      ['Presents an annotated map to at least three other people.', 1],
    ],
    categories: ['Community'],
    tags: ['city', 'maps', 'interviewing'],
    alignments: [],
    art: { icon: 'compass', shape: 'hexagon', colors: ['#f6a623', '#b4520c'] },
  },
  {
    at: '/systems/riverton',
    slug: 'summer-medal',
    name: 'Summer of Learning Medal',
    type: 'achievement',
    strapline: 'For a whole summer of finding things out.',
    earnerDescription:
      'Two badges from different places in one summer: you did not stop at what you already knew.',
    consumerDescription:
      'The holder earned at least two badges of the Riverton City of Learning, each assessed by the organisation that gave it, within one summer.',
    criteria: [['Holds two badges given by organisations of the Riverton City of Learning.', 1]],
    categories: ['Community'],
    tags: ['summer', 'milestone'],
    alignments: [],
    medal: true,
  },
  {
    at: LIBRARY,
    slug: 'story-finder',
    name: 'Story Finder',
    type: 'skill',
    strapline: 'Finds the right book for somebody else.',
    earnerDescription:
      'You listened to what a reader liked, searched the catalogue and the shelves, and found three books that fitted. One of them surprised you both.',
    consumerDescription:
      'The holder can interview a reader, search a library catalogue with filters and subject terms, and give reasons for a recommendation.',
    timeValue: 90,
    timeUnits: 'minutes',
    evidenceType: 'Text',
    criteria: [
      ['Interviews a reader and notes three things that matter to them in a book.', 1],
      ['Uses subject terms and at least two filters of the catalogue.', 1],
      ['Recommends three books and gives a reason for each.', 1],
      ['Hears back from the reader and describes what they would do differently.', 0],
    ],
    categories: ['Reading', 'Information literacy'],
    tags: ['books', 'search', 'listening'],
    alignments: [
      {
        name: 'Research and Information Fluency',
        url: 'https://standards.example.org/information/3a',
        description: 'Plans strategies to guide inquiry and selects sources by their fitness.',
      },
    ],
    art: { icon: 'open-book', shape: 'shield', colors: ['#ef6f53', '#96281b'] },
  },
  {
    at: `${LIBRARY}/programs/writers-room`,
    slug: 'zine-maker',
    name: 'Zine Maker',
    type: 'skill',
    strapline: 'Written, drawn, folded, printed, given away.',
    earnerDescription:
      'You made a zine of at least eight pages from the first idea to the last staple, and put twenty copies into the hands of strangers.',
    consumerDescription:
      'The holder planned, wrote, illustrated and printed a publication of eight pages or more, revised it after criticism from peers, and distributed it.',
    timeValue: 6,
    timeUnits: 'weeks',
    evidenceType: 'URL',
    criteria: [
      ['Makes a zine of at least eight pages with own text and own pictures.', 1],
      ['Revises it after written comments from two other writers.', 1],
      ['Prints and gives away twenty copies.', 1],
    ],
    categories: ['Writing', 'Art'],
    tags: ['zine', 'print', 'editing'],
    alignments: [],
    art: { icon: 'quill-ink', shape: 'scallop', colors: ['#d6558f', '#6d1b45'] },
  },
  {
    at: `${LIBRARY}/programs/writers-room`,
    slug: 'storyteller',
    name: 'Storyteller',
    type: 'skill',
    strapline: 'Five minutes, no notes, a room that listens.',
    earnerDescription:
      'You told a story of your own to a room of people, without notes, and they stayed with you to the end.',
    consumerDescription:
      'The holder composed a story of about five minutes and told it to an audience of at least fifteen, without notes, within the agreed time.',
    timeValue: 3,
    timeUnits: 'weeks',
    evidenceType: 'Video',
    criteria: [
      ['Tells an own story of four to six minutes without notes.', 1],
      ['Names one thing changed after a rehearsal in front of others.', 1],
    ],
    categories: ['Writing', 'Performance'],
    tags: ['speaking', 'stage'],
    alignments: [],
    art: { icon: 'public-speaker', shape: 'octagon', colors: ['#8e5bd6', '#43208a'] },
  },
  {
    at: MUSEUM,
    slug: 'sky-watcher',
    name: 'Sky Watcher',
    type: 'skill',
    strapline: 'Three clear nights on the roof.',
    earnerDescription:
      'You set up the telescope yourself, found three objects with a star chart, and kept an observation log that another person could follow.',
    consumerDescription:
      'The holder can align a small telescope, locate objects by chart and coordinates, and keep a dated observation log. Valid for one year, as sky and instrument change.',
    timeValue: 3,
    timeUnits: 'days',
    evidenceType: 'Photo',
    criteria: [
      ['Sets up and aligns the roof telescope without help.', 1],
      ['Finds three objects, one of them beyond the solar system.', 1],
      ['Keeps a log with time, place, weather and a sketch of each object.', 1],
    ],
    categories: ['Science'],
    tags: ['astronomy', 'telescope', 'observation'],
    alignments: [
      {
        name: 'Earth’s Place in the Universe',
        url: 'https://standards.example.org/science/ess1',
        description: 'Uses observations to describe patterns of the sun, moon and stars.',
      },
    ],
    art: { icon: 'telescope', shape: 'circle', colors: ['#4656c9', '#12123f'] },
  },
  {
    at: MUSEUM,
    slug: 'close-looker',
    name: 'Close Looker',
    type: 'skill',
    strapline: 'A drop of river water is a crowded place.',
    earnerDescription:
      'You prepared a slide from river water, brought it into focus at three magnifications, and named what swam by.',
    consumerDescription:
      'The holder can prepare wet mounts, use a compound microscope up to 400×, and identify common freshwater organisms with a key.',
    timeValue: 4,
    timeUnits: 'hours',
    evidenceType: 'Photo',
    criteria: [
      ['Prepares a wet mount without air bubbles.', 1],
      ['Draws one organism at three magnifications, with a scale.', 1],
      ['Identifies three organisms with a printed key.', 0],
    ],
    categories: ['Science'],
    tags: ['microscope', 'biology', 'river'],
    alignments: [],
    art: { icon: 'microscope', shape: 'hexagon', colors: ['#2fb184', '#0b5a4f'] },
  },
  {
    at: `${MUSEUM}/programs/robot-lab`,
    slug: 'robot-builder',
    name: 'Robot Builder',
    type: 'skill',
    strapline: 'It found its own way home.',
    earnerDescription:
      'You built a robot that follows a line, wrote the program that keeps it there, and fixed what went wrong on the way.',
    consumerDescription:
      'The holder assembled a wheeled robot with two sensors, programmed its control loop, and documented the faults found and how they were mended.',
    timeValue: 6,
    timeUnits: 'weeks',
    evidenceType: 'Video',
    criteria: [
      ['The robot follows a line of four metres with two turns, three times out of three.', 1],
      ['The program is readable: another member can say what each part does.', 1],
      ['The log names at least two faults, their causes and their mending.', 1],
    ],
    categories: ['Technology', 'Engineering'],
    tags: ['robots', 'programming', 'electronics'],
    alignments: [
      {
        name: 'Engineering Design',
        url: 'https://standards.example.org/science/ets1',
        description: 'Tests a design, finds its failures and improves it by evidence.',
      },
    ],
    art: { icon: 'vintage-robot', shape: 'shield', colors: ['#4b9cd3', '#1c3f66'] },
  },
]

const DAY = 86_400
const AWARDS = [
  { badge: 'city-explorer', email: 'ada.brook@example.org', daysAgo: 40 },
  { badge: 'city-explorer', email: 'noor.haddad@example.org', daysAgo: 31 },
  { badge: 'story-finder', email: 'ada.brook@example.org', daysAgo: 26 },
  { badge: 'story-finder', email: 'tomas.lind@example.org', daysAgo: 25 },
  { badge: 'zine-maker', email: 'noor.haddad@example.org', daysAgo: 12 },
  { badge: 'close-looker', email: 'mei.tanaka@example.org', daysAgo: 9 },
  { badge: 'sky-watcher', email: 'mei.tanaka@example.org', daysAgo: 5, days: 365 },
  { badge: 'sky-watcher', email: 'tomas.lind@example.org', daysAgo: 400, days: 365, is: 'expired' },
  {
    badge: 'robot-builder',
    email: 'sam.okafor@example.org',
    daysAgo: 3,
    is: 'revoked',
    reason: 'Given to the wrong address; the robot was built by somebody else.',
  },
]

const CODES = [
  { badge: 'story-finder', code: 'river-reads', multiuse: true },
  { badge: 'story-finder', code: 'bookmobile-7', multiuse: false },
  { badge: 'city-explorer', code: 'open-doors-day', multiuse: true },
  { badge: 'close-looker', code: 'lab-visit-042', claimedBy: 'ines.costa@example.org' },
]

const APPLICATIONS = [
  {
    badge: 'robot-builder',
    learner: 'lena.fischer@example.org',
    evidence: [
      {
        url: 'https://media.example.org/lena/line-follower.mp4',
        mediaType: 'link',
        reflection:
          'It lost the line in every left turn until I noticed that I had swapped the two sensors.',
      },
      {
        url: 'https://media.example.org/lena/wiring.jpg',
        mediaType: 'image',
        reflection: 'The wiring after the second attempt, with labels.',
      },
    ],
    review: {
      author: 'coach@museum.riverton.example.org',
      comment:
        'Three clean runs and a very honest log. Comments in the program would make it complete.',
      satisfied: [true, false, true],
    },
  },
  {
    badge: 'zine-maker',
    learner: 'jonas.weber@example.org',
    evidence: [
      {
        url: 'https://media.example.org/jonas/night-bus.pdf',
        mediaType: 'link',
        reflection: 'Eight pages about the last bus of the day and the people in it.',
      },
    ],
  },
]

// ---- Pictures

const WHITE = '#fff'

/** Outlines around the centre (256, 256), as path data, for a given radius. */
const SHAPES = {
  circle: (/** @type {number} */ r) =>
    `M${256 - r} 256a${r} ${r} 0 1 1 ${2 * r} 0a${r} ${r} 0 1 1 ${-2 * r} 0z`,
  hexagon: (/** @type {number} */ r) => polygon(6, r, Math.PI / 6),
  octagon: (/** @type {number} */ r) => polygon(8, r, Math.PI / 8),
  scallop: (/** @type {number} */ r) =>
    closed(180, (turn) => r * (0.955 + 0.045 * Math.cos(14 * turn))),
  shield: (/** @type {number} */ r) => {
    const at = (/** @type {number} */ x, /** @type {number} */ y) =>
      `${round(256 + x * r)} ${round(256 + y * r)}`
    return `M${at(0, -1)}C${at(0.35, -0.8)} ${at(0.6, -0.76)} ${at(0.9, -0.76)}C${at(0.94, 0.1)} ${at(0.72, 0.66)} ${at(0, 1)}C${at(-0.72, 0.66)} ${at(-0.94, 0.1)} ${at(-0.9, -0.76)}C${at(-0.6, -0.76)} ${at(-0.35, -0.8)} ${at(0, -1)}z`
  },
}

const round = (/** @type {number} */ number) => Math.round(number * 10) / 10

/**
 * @param {number} steps
 * @param {(turn: number) => number} radius
 */
function closed(steps, radius) {
  const points = Array.from({ length: steps }, (_, step) => {
    const turn = (2 * Math.PI * step) / steps
    const r = radius(turn)
    return `${round(256 + r * Math.sin(turn))} ${round(256 - r * Math.cos(turn))}`
  })
  return `M${points.join('L')}z`
}

/**
 * @param {number} sides
 * @param {number} r
 * @param {number} start
 */
const polygon = (sides, r, start) =>
  `M${Array.from({ length: sides }, (_, side) => {
    const turn = start + (2 * Math.PI * side) / sides
    return `${round(256 + r * Math.cos(turn))} ${round(256 + r * Math.sin(turn))}`
  }).join('L')}z`

/** @type {{ icons: Record<string, { body: string }> }} */
const { icons } = JSON.parse(
  readFileSync(new URL(import.meta.resolve('@iconify-json/game-icons/icons.json')), 'utf8'),
)

/**
 * A badge: a rim, a face with a beam of light, and an icon with its shadow.
 * @param {string} title
 * @param {{ icon: string, shape: string, colors: string[] }} art
 */
function drawSvg(title, { icon, shape, colors: [light = WHITE, dark = WHITE] }) {
  const outline = SHAPES[/** @type {keyof typeof SHAPES} */ (shape)]
  const body = icons[icon]?.body
  if (body === undefined) throw new Error(`The icon set has no ${icon}.`)
  const scale = shape === 'shield' ? 0.46 : 0.5
  const place = (/** @type {number} */ y) =>
    `translate(${256 - 256 * scale} ${y - 256 * scale}) scale(${scale})`
  const middle = shape === 'shield' ? 244 : 256
  const stops = (/** @type {string[]} */ ...[from, to]) =>
    `<stop offset="0" stop-color="${from}"/><stop offset="1" stop-color="${to}"/>`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512" width="512" height="512" role="img">
<!-- ${CREDIT} -->
<title>${title}</title>
<desc>${CREDIT}</desc>
<defs>
<linearGradient id="rim" x1="0" y1="0" x2="1" y2="1">${stops(dark, light)}</linearGradient>
<radialGradient id="face" cx=".35" cy=".25" r=".95">${stops(light, dark)}</radialGradient>
<linearGradient id="beam" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="${WHITE}" stop-opacity=".34"/><stop offset="1" stop-color="${WHITE}" stop-opacity="0"/></linearGradient>
<clipPath id="inside"><path d="${outline(196)}"/></clipPath>
</defs>
<g stroke-linejoin="round">
<path d="${outline(232)}" fill="url(#rim)" stroke="${dark}" stroke-width="12"/>
<path d="${outline(214)}" fill="none" stroke="${WHITE}" stroke-opacity=".75" stroke-width="5" stroke-dasharray=".1 15" stroke-linecap="round"/>
<path d="${outline(196)}" fill="url(#face)" stroke="${WHITE}" stroke-opacity=".9" stroke-width="6"/>
</g>
<g clip-path="url(#inside)"><path d="M-40 236C120 120 330 96 560 150V-20H-40z" fill="url(#beam)"/></g>
<g color="${dark}" opacity=".55" transform="${place(middle + 7)}">${body}</g>
<g color="${WHITE}" transform="${place(middle)}">${body}</g>
</svg>
`
}

/**
 * Encodes RGBA pixels as PNG. Each row is filtered by what is left of it and above it, which makes smooth colours
 * small.
 * @param {number} side
 * @param {Uint8Array} pixels
 */
function encodePng(side, pixels) {
  const stride = side * 4
  const rows = Buffer.alloc((stride + 1) * side)
  for (let y = 0; y < side; y++) {
    const start = y * (stride + 1)
    rows[start] = 4 // Paeth
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x
      const left = x >= 4 ? (pixels[at - 4] ?? 0) : 0
      const up = y > 0 ? (pixels[at - stride] ?? 0) : 0
      const corner = x >= 4 && y > 0 ? (pixels[at - stride - 4] ?? 0) : 0
      const guess = left + up - corner
      const [toLeft, toUp, toCorner] = [left, up, corner].map((value) => Math.abs(guess - value))
      const nearest =
        (toLeft ?? 0) <= (toUp ?? 0) && (toLeft ?? 0) <= (toCorner ?? 0)
          ? left
          : (toUp ?? 0) <= (toCorner ?? 0)
            ? up
            : corner
      rows[start + 1 + x] = (pixels[at] ?? 0) - nearest
    }
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(side, 0)
  header.writeUInt32BE(side, 4)
  header.set([8, 6, 0, 0, 0], 8) // 8 bits of red, green, blue, alpha
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/**
 * @param {string} type
 * @param {Buffer} data
 */
function chunk(type, data) {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(named.length + 8)
  framed.writeUInt32BE(data.length, 0)
  named.copy(framed, 4)
  framed.writeUInt32BE(crc32(named), named.length + 4)
  return framed
}

const clamp = (/** @type {number} */ value) => Math.min(1, Math.max(0, value))

/** @typedef {[number, number, number]} Color */

/**
 * @param {Color} from
 * @param {Color} to
 * @param {number} share
 * @returns {Color}
 */
const mix = (from, to, share) => [
  from[0] + (to[0] - from[0]) * share,
  from[1] + (to[1] - from[1]) * share,
  from[2] + (to[2] - from[2]) * share,
]

/**
 * The signed distance to a star with five points, negative inside.
 * @param {number} x
 * @param {number} y
 * @param {number} r
 */
function starDistance(x, y, r) {
  const sector = Math.PI / 5
  // Folded into one half of one point, where the outline is a single line from tip to notch.
  const turn = Math.atan2(x, -y)
  const folded = Math.abs(turn - 2 * sector * Math.round(turn / (2 * sector)))
  const length = Math.hypot(x, y)
  const [px, py] = [length * Math.cos(folded), length * Math.sin(folded)]
  const notch = r * 0.45
  const [dx, dy] = [notch * Math.cos(sector) - r, notch * Math.sin(sector)]
  return ((px - r) * dy - py * dx) / Math.hypot(dx, dy)
}

/** The medal: ribbons, a scalloped rim of gold, an enamelled face and a star, with smooth edges throughout. */
function drawMedal(side = 512) {
  const pixels = new Uint8Array(side * side * 4)
  const unit = side / 512
  for (let py = 0; py < side; py++) {
    for (let px = 0; px < side; px++) {
      const x = (px + 0.5) / unit - 256
      const y = (py + 0.5) / unit - 216
      const r = Math.hypot(x, y)
      /** @type {Color} */
      let color = [0, 0, 0]
      let alpha = 0
      // Distances are in units of the 512 grid, so coverage of one pixel is a ramp of one pixel's width.
      const paint = (/** @type {Color} */ ink, /** @type {number} */ distance, strength = 1) => {
        const cover = clamp(0.5 - distance * unit) * strength
        const total = cover + alpha * (1 - cover)
        if (total > 0) color = mix(color, ink, cover / total)
        alpha = total
      }
      for (const lean of [-1, 1]) {
        // Turned by 20 degrees, a ribbon is a box with a notch cut into its end.
        const along = y * Math.cos(0.35) + lean * x * Math.sin(0.35)
        const across = lean * x * Math.cos(0.35) - y * Math.sin(0.35)
        const notch = (along - 282 + Math.abs(across) * 0.7) * 0.82
        const box = Math.max(Math.abs(across) - 46, -along, notch)
        paint(mix([196, 36, 60], [112, 12, 44], clamp(along / 290)), box)
        paint([255, 214, 190], Math.max(box, Math.abs(Math.abs(across) - 30) - 4), 0.75)
      }
      const turn = Math.atan2(y, x)
      const rim = r - (190 + 6 * Math.cos(24 * turn))
      const shine = 0.5 + 0.5 * Math.cos(2 * (turn - 0.8))
      paint([58, 34, 8], r - 4 - (190 + 6 * Math.cos(24 * turn)) - y * 0.012, 0.35)
      paint(mix([176, 112, 22], [255, 226, 132], 0.25 + 0.75 * shine), rim)
      paint(mix([255, 240, 178], [150, 92, 14], clamp(0.5 + (x + y) / 420)), r - 168)
      paint(mix([214, 150, 40], [255, 222, 120], shine), r - 160)
      paint(mix([38, 140, 196], [14, 32, 92], clamp(Math.hypot(x + 60, y + 80) / 250)), r - 146)
      const rays = 0.5 + 0.5 * Math.cos(20 * turn)
      paint([255, 255, 255], r - 146, 0.07 * rays * rays * clamp(r / 146))
      const star = starDistance(x, y, 118)
      paint([8, 18, 60], starDistance(x - 3, y - 7, 118) - 2, 0.4)
      paint([255, 246, 208], star)
      // Facets: each point of the star has a lit and a shaded half.
      const facet = Math.sin(((Math.atan2(x, -y) / (Math.PI / 5) + 20) % 2) * Math.PI) > 0
      const gold = mix([255, 228, 140], [226, 160, 48], clamp(0.5 + (x + y) / 260))
      paint(facet ? mix(gold, [150, 92, 20], 0.28) : gold, star + 5)
      paint([255, 255, 255], Math.max(r - 146, Math.hypot(x + 30, y + 190) - 190), 0.1)
      pixels.set([...color.map(Math.round), Math.round(alpha * 255)], (py * side + px) * 4)
    }
  }
  return encodePng(side, pixels)
}

/**
 * @param {string} name
 * @param {{ art?: { icon: string, shape: string, colors: string[] }, medal?: boolean }} what
 */
function picture(name, { art, medal }) {
  if (medal) return `data:image/png;base64,${drawMedal().toString('base64')}`
  if (art === undefined) return undefined
  return `data:image/svg+xml;base64,${Buffer.from(drawSvg(name, art)).toString('base64')}`
}

// ---- The requests

const client = findClient()
const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`)

class Stop extends Error {}

/** What the server does not offer (yet); said once. */
const skipped = new Set()

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
async function call(method, path, body) {
  try {
    const response = await signedFetch(client, method, path, body)
    const text = await response.text()
    return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : {}, text }
  } catch (error) {
    throw new Stop(explain(error, client.url))
  }
}

/**
 * Makes one thing and says so. A conflict means that an earlier run made it.
 * @param {string} what
 * @param {string} path
 * @param {unknown} body
 * @param {(answer: { status: number, body: any }) => boolean} [isThere]
 */
async function make(what, path, body, isThere = ({ status }) => status === 409) {
  const answer = await call('POST', path, body)
  if (answer.status === 201 || answer.status === 200) say(`  made           ${what}`)
  else if (isThere(answer)) say(`  already there  ${what}`)
  else if (isAbsent(answer)) skip(what)
  else throw new Stop(`POST ${path} answered ${answer.status}: ${answer.text}`)
  return answer.status < 300 ? answer.body : undefined
}

/** @param {{ status: number, body: any }} answer */
const isAbsent = ({ status, body }) =>
  status === 405 || (status === 404 && / does not exist$/.test(body.message ?? ''))

/** @param {string} what */
function skip(what) {
  const [kind = what] = what.split(' ')
  if (skipped.has(kind)) return
  skipped.add(kind)
  say(`  skipped        ${kind}: this server has no route for it`)
}

/**
 * Rows that look the same may exist twice, so these are looked for before they are made.
 * @param {string} what
 * @param {string} path
 * @param {string} key
 * @param {(row: any) => boolean} isIt
 */
async function look(what, path, key, isIt) {
  const answer = await call('GET', path)
  if (isAbsent(answer)) {
    skip(what)
    return { absent: true, row: undefined }
  }
  if (answer.status !== 200) throw new Stop(`GET ${path} answered ${answer.status}: ${answer.text}`)
  const row = answer.body[key]?.find(isIt)
  if (row) say(`  already there  ${what}`)
  return { absent: false, row }
}

/** @param {string} slug */
function badgePath(slug) {
  const badge = BADGES.find((one) => one.slug === slug)
  if (badge === undefined) throw new Error(`No badge ${slug}.`)
  return `${badge.at}/badges/${slug}`
}

async function makeContainers() {
  const container = (/** @type {any} */ { art, program: _, ...fields }) => ({
    ...fields,
    image: picture(fields.name, { art }),
  })
  await make(`system ${SYSTEM.name}`, '/systems', container(SYSTEM))
  for (const issuer of ISSUERS) {
    const path = '/systems/riverton/issuers'
    await make(`issuer ${issuer.name}`, path, container(issuer))
    const programs = `${path}/${issuer.slug}/programs`
    await make(`program ${issuer.program.name}`, programs, container(issuer.program))
  }
}

/** @returns {Promise<Map<string, any>>} the badges as the server holds them */
async function makeBadges() {
  const badges = new Map()
  for (const { at, art, medal, criteria, ...fields } of BADGES) {
    await make(`badge ${fields.name}`, `${at}/badges`, {
      ...fields,
      unique: 1,
      criteriaUrl: `https://riverton.example.org/badges/${fields.slug}`,
      criteria: criteria.map(([description, required]) => ({ description, required, note: '' })),
      image: picture(fields.name, { art, medal }),
    })
    const { status, body, text } = await call('GET', badgePath(fields.slug))
    if (status !== 200) throw new Stop(`GET ${badgePath(fields.slug)} answered ${status}: ${text}`)
    badges.set(fields.slug, body.badge)
  }
  return badges
}

/** @param {Map<string, any>} badges */
async function makeMilestone(badges) {
  const what = 'milestone for the Summer of Learning Medal'
  const path = '/systems/riverton/milestones'
  const primary = badges.get('summer-medal')
  const { absent, row } = await look(
    what,
    path,
    'milestones',
    (one) => one.primaryBadge?.id === primary.id,
  )
  if (absent || row) return
  const supportBadges = [...badges.values()]
    .filter((badge) => badge !== primary)
    .map(({ id }) => id)
  await make(what, path, {
    numberRequired: 2,
    action: 'issue',
    primaryBadgeId: primary.id,
    supportBadges,
  })
}

/** Random for everyone else, but the same in each run: so a second run finds a revoked award too. */
const awardSlug = (/** @type {string} */ badge, /** @type {string} */ email) =>
  createHash('sha1').update(`seed ${badge} ${email}`).digest('hex')

async function makeAwards() {
  const now = Math.floor(Date.now() / 1000)
  for (const { badge, email, daysAgo, days, is, reason } of AWARDS) {
    const what = `award ${badge} to ${email}${is ? ` (${is})` : ''}`
    const slug = awardSlug(badge, email)
    const issuedOn = now - daysAgo * DAY
    const path = `${badgePath(badge)}/instances`
    if (reason !== undefined) {
      const { status } = await fetch(new URL(`/public/assertions/${slug}`, client.url))
      if (status === 410) {
        say(`  already there  ${what}`)
        continue
      }
    }
    const expires = days === undefined ? undefined : issuedOn + days * DAY
    await make(what, path, { email, slug, issuedOn, expires })
    if (reason === undefined) continue
    const revoke = `${path}/${encodeURIComponent(email)}?reason=${encodeURIComponent(reason)}`
    const { status, text } = await call('DELETE', revoke)
    if (status !== 200 && status !== 404) throw new Stop(`Revoking answered ${status}: ${text}`)
  }
}

async function makeCodes() {
  for (const { badge, code, multiuse, claimedBy } of CODES) {
    const path = `${badgePath(badge)}/codes`
    await make(`code ${code} for ${badge}`, path, { code, multiuse: multiuse ?? false })
    if (claimedBy === undefined || skipped.has('code')) continue
    const claim = { email: claimedBy }
    const used = (/** @type {{ body: any }} */ { body }) => body.code === 'CodeAlreadyUsed'
    await make(`claim of ${code} by ${claimedBy}`, `${path}/${code}/claim`, claim, used)
  }
}

/** @param {Map<string, any>} badges */
async function makeApplications(badges) {
  for (const { badge, learner, evidence, review } of APPLICATIONS) {
    const what = `application of ${learner} for ${badge}`
    const path = `${badgePath(badge)}/applications`
    const found = await look(what, path, 'applications', (row) => row.learner === learner)
    if (found.absent) return
    const application = found.row ?? (await make(what, path, { learner, evidence }))?.application
    if (review === undefined || application === undefined) continue
    const { author, comment, satisfied } = review
    const title = `review by ${author}`
    const reviews = `${path}/${application.slug}/reviews`
    const seen = await look(title, reviews, 'reviews', (row) => row.author === author)
    if (seen.absent || seen.row) continue
    const reviewItems = badges
      .get(badge)
      .criteria.map((/** @type {{ id: number }} */ { id }, /** @type {number} */ index) => ({
        criterionId: id,
        satisfied: satisfied[index] ? 1 : 0,
      }))
    await make(title, reviews, { author, comment, reviewItems })
  }
}

async function main() {
  say(`Riverton City of Learning, on ${client.url}\n`)
  await makeContainers()
  const badges = await makeBadges()
  await makeMilestone(badges)
  await makeAwards()
  await makeCodes()
  await makeApplications(badges)

  const open = (/** @type {string} */ path) => new URL(path, client.url).href
  const award = (/** @type {string} */ badge, /** @type {string} */ email) =>
    open(`/public/assertions/${awardSlug(badge, `${email}@example.org`)}`)
  say(`
Open in a browser:

  an award     ${award('zine-maker', 'noor.haddad')}
  expired      ${award('sky-watcher', 'tomas.lind')}
  revoked      ${award('robot-builder', 'sam.okafor')}
  a badge      ${open(`/public${badgePath('robot-builder')}`)}
  an issuer    ${open(`/public${MUSEUM}`)}
  every badge  ${open('/public/badges')}

${CREDIT}.`)
}

try {
  await main()
} catch (error) {
  if (!(error instanceof Stop)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
