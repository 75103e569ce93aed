/**
 * A dump of BadgeKit's own database, in mysqldump's form: the tables by their names' order, so that rows come before those they
 * refer to; rows many to a statement, blobs raw or in hex.
 *
 *     node test/node/oldDump.mjs FILE AWARDS
 */
import { createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A blob in one of mysqldump's forms. @typedef {{ bytes: Buffer, form: 'hex' | 'binary' | 'plain' }} Blob */
/** @typedef {(string | number | null | Blob)[]} Row */

const CONTAINER =
  'slug varchar(255),name varchar(255),url varchar(255),description text,email varchar(255),imageId int'
/** The original's columns. @type {Record<string, string>} */
const COLUMNS = {
  alignments: 'badgeId int,name text,url text,description text',
  applications:
    'slug varchar(255),badgeId int,learner varchar(255),created timestamp,assignedTo varchar(255),assignedExpiration timestamp,processed timestamp,programId int,issuerId int,systemId int',
  badgeInstances:
    'slug varchar(255),email varchar(255),issuedOn timestamp,expires timestamp,claimCode varchar(255),badgeId int',
  badges:
    "slug varchar(255),name varchar(255),strapline varchar(140),earnerDescription text,consumerDescription text,issuerUrl varchar(255),rubricUrl varchar(255),criteriaUrl varchar(255),timeValue int,timeUnits enum('minutes','hours','days','weeks'),limit int,unique tinyint(1),archived tinyint(1),created timestamp,imageId int,programId int,issuerId int,systemId int,type varchar(255),evidenceType enum('URL','Text','Photo','Video','Sound')",
  categories: 'badgeId int,value varchar(255)',
  claimCodes:
    'code varchar(255),claimed tinyint(1),email varchar(255),multiuse tinyint(1),badgeId int',
  consumers: 'apiKey varchar(255),apiSecret varchar(255),description varchar(255),systemId int',
  criteria: 'badgeId int,description text,note text,required tinyint(1)',
  evidence: "applicationId int,url varchar(255),mediaType enum('image','link'),reflection text",
  images: 'slug varchar(255),url varchar(255),mimetype varchar(255),data longblob',
  issuers: `${CONTAINER},systemId int`,
  milestoneBadges: 'milestoneId int,badgeId int',
  milestones:
    "systemId int,primaryBadgeId int,numberRequired int,action enum('issue','queue-application')",
  migrations: 'name varchar(255),run_on datetime',
  programs: `${CONTAINER},issuerId int`,
  reviewItems: 'reviewId int,criterionId int,satisfied tinyint(1),comment text',
  reviews: 'slug varchar(255),applicationId int,author varchar(255),comment text',
  systems: CONTAINER,
  tags: 'badgeId int,value varchar(255)',
  webhooks: 'url varchar(255),secret varchar(255),systemId int',
}

const HEAD = `-- MySQL dump 10.13  Distrib 5.6.19, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: badgekit
-- ------------------------------------------------------
/*!40101 SET NAMES utf8 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
`
const TAIL = `
DELIMITER ;;
CREATE TRIGGER \`it's\` BEFORE INSERT ON \`tags\` FOR EACH ROW BEGIN SET NEW.value = 'INSERT INTO \`tags\` VALUES (1);'; END ;;
DELIMITER ;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;
-- Dump completed on 2020-09-01 12:00:00
`
/** @type {Record<string, string>} */
const ESCAPED = {
  '\0': '\\0',
  '\n': '\\n',
  '\r': '\\r',
  '\\': '\\\\',
  "'": "\\'",
  '"': '\\"',
  '\x1a': '\\Z',
}
/** @param {string} text */
// biome-ignore lint/suspicious/noControlCharactersInRegex: what MySQL escapes
const escaped = (text) => text.replace(/[\0\n\r\\'"\x1a]/g, (char) => ESCAPED[char] ?? char)

/** A value, Latin-1 for bytes. @param {Row[number]} value */
function literal(value) {
  if (value === null) return 'NULL'
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') return `'${Buffer.from(escaped(value)).toString('latin1')}'`
  const { bytes, form } = value
  if (form === 'hex') return `0x${bytes.toString('hex').toUpperCase()}`
  return `${form === 'binary' ? '_binary ' : ''}'${escaped(bytes.toString('latin1'))}'`
}

/** @param {string} table */
function createTable(table) {
  // Commas within parentheses are those of an enum.
  const columns = (COLUMNS[table] ?? '').split(/,(?![^(]*\))/).map((one) => {
    const [name, ...type] = one.split(' ')
    return `  \`${name}\` ${type.join(' ')} DEFAULT NULL`
  })
  return `DROP TABLE IF EXISTS \`${table}\`;
CREATE TABLE \`${table}\` (
  \`id\` int(11) NOT NULL AUTO_INCREMENT COMMENT 'it''s; (the) number',
${columns.join(',\n')},
  PRIMARY KEY (\`id\`),
  KEY \`some_key\` (\`id\`)
) ENGINE=InnoDB AUTO_INCREMENT=1000 DEFAULT CHARSET=utf8;
`
}

/**
 * @param {string} path
 * @param {Record<string, Iterable<Row>>} tables rows with their numbers first
 */
export function writeDump(path, tables) {
  const file = openSync(path, 'w')
  const put = (/** @type {string} */ text) => writeSync(file, Buffer.from(text, 'latin1'))
  put(HEAD)
  for (const table of Object.keys(COLUMNS).sort()) {
    put(
      `\n--\n-- Table structure for table \`${table}\`; it's 'quoted'\n--\n\n${createTable(table)}`,
    )
    put(`LOCK TABLES \`${table}\` WRITE;\n/*!40000 ALTER TABLE \`${table}\` DISABLE KEYS */;\n`)
    let text = ''
    for (const row of tables[table] ?? []) {
      text += `${text ? ',' : `INSERT INTO \`${table}\` VALUES `}(${row.map(literal).join(',')})`
      if (text.length > 1_000_000) {
        put(`${text};\n`)
        text = ''
      }
    }
    if (text) put(`${text};\n`)
    put(`/*!40000 ALTER TABLE \`${table}\` ENABLE KEYS */;\nUNLOCK TABLES;\n`)
  }
  put(TAIL)
  closeSync(file)
}

/** An award's slug, as the original made them. @param {number} id */
export const awardSlug = (id) => createHash('sha1').update(`award ${id}`).digest('hex')

/** @param {number} id @param {number} badgeId @param {string} email @returns {Row} */
const award = (id, badgeId, email) => [
  id,
  awardSlug(id),
  email,
  '2014-05-14 19:11:52',
  null,
  null,
  badgeId,
]

/** A large organisation with nothing wrong. @param {string} path @param {number} awards */
export function writeLarge(path, awards) {
  const badges = 40
  function* instances() {
    for (let id = 1; id <= awards; id++)
      yield award(id, 1 + (id % badges), `earner.${Math.floor(id / badges)}@example.org`)
  }
  writeDump(path, {
    systems: [[1, 'city', 'The City', 'https://city.example.org', null, null, null]],
    images: [[1, 'an-image', 'https://city.example.org/badge.png', null, null]],
    badges: Array.from({ length: badges }, (_, i) => [
      ...[i + 1, `badge-${i + 1}`, `Badge ${i + 1}`, null, 'You did.', 'They did.', null, null],
      ...[
        'https://city.example.org/criteria',
        null,
        null,
        5,
        1,
        0,
        '2014-01-01 00:00:00',
        1,
        null,
        null,
        1,
        '',
        null,
      ],
    ]),
    badgeInstances: instances(),
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [path = 'dump.sql', awards = '100000'] = process.argv.slice(2)
  writeLarge(path, Number(awards))
}
