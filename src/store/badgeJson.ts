import { type SQL, sql } from 'drizzle-orm'
import { below, type Level, levels } from '../levels'
import { isoText } from './db'

/**
 * A badge as the contract shows it (§4.2), as JSON text in SQL, for `badges b`: what `viewBadge` makes of the row. A message
 * must say what the very statement before it has written, which no code outside the transaction can know. In two portions, as
 * no function of D1 takes more than 32 arguments.
 */
export function badgeJson(origin: string): SQL {
  const list = (name: string) => sql.raw(`'${name}', json_extract(b.lists, '$.${name}')`)
  const containers = levels.map(
    (level) => sql`
      case when ${sql.raw(`b.${level.column}`)} is null then '' else ${sql.raw(`',"${level.name}":'`)} || (
        select ${nestedJson(level, origin)} from ${sql.identifier(level.plural)} x
        where x.id = ${sql.raw(`b.${level.column}`)}) end`,
  )
  return sql`
    rtrim(json_object('id', b.id, 'slug', b.slug, 'name', b.name, 'strapline', b.strapline,
      'earnerDescription', b.earnerDescription, 'consumerDescription', b.consumerDescription,
      'issuerUrl', b.issuerUrl, 'rubricUrl', b.rubricUrl, 'timeValue', b.timeValue, 'timeUnits', b.timeUnits,
      'limit', b."limit", 'unique', b."unique", 'created', ${isoText(sql`b.createdAt`)},
      'imageUrl', ${imageUrl('b', origin)}, 'type', b.type,
      'archived', json(case b.archived when 1 then 'true' else 'false' end)), '}')
    || ${sql.join(containers, sql` || `)} || ','
    || case when b.validFor is null then '' else '"validFor":' || json_quote(b.validFor) || ',' end ||
    ltrim(json_object('criteriaUrl', b.criteriaUrl, ${list('criteria')}, ${list('alignments')},
      'evidenceType', b.evidenceType, ${list('categories')}, ${list('tags')}, 'milestones', json('[]')), '{')`
}

/** A container inside a badge: its own lists stay empty. */
const nestedJson = (level: Level, origin: string) => {
  const [child] = below(level)
  const list = child ? sql.raw(`, '${child.plural}', json('[]')`) : sql``
  return sql`json_object('id', x.id, 'slug', x.slug, 'url', x.url, 'name', x.name,
    'description', x.description, 'email', x.email, 'imageUrl', ${imageUrl('x', origin)}${list})`
}

/** `imageUrl` of `urls.ts`, of the row `alias`. */
const imageUrl = (alias: string, origin: string) => sql`
  case when ${sql.raw(alias)}.image like '/%' then ${origin} || ${sql.raw(alias)}.image
    else ${sql.raw(alias)}.image end`
