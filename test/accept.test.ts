import { describe, expect, it } from 'vitest'
import { prefersHtml } from '../src/accept'

const CHROME =
  'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7'
const FIREFOX = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'

describe('prefersHtml', () => {
  it.each([
    CHROME,
    FIREFOX,
    'text/html',
    'TEXT/HTML',
    ' text/html ',
    'text/html;charset=utf-8',
    'text/html, application/json;q=0.9',
    'application/json;q=0.9, text/html',
    'text/html;q=0.2, application/json;q=0.1',
    'text/html;level=1;q=0.5, */*;q=0.4',
    'text/html, application/*;q=0.5',
    'text/html, application/json;q=0',
    'text/html;q=0.001',
    'text/html , */* ; q=0.1',
    'text/html;Q=0.9, application/json;Q=0.1',
  ])('gives a page for %j', (header) => {
    expect(prefersHtml(header)).toBe(true)
  })

  it.each([
    undefined,
    '',
    '*/*',
    'application/json',
    'application/ld+json',
    'text/*',
    'text/plain',
    'application/xhtml+xml',
    'text/htmlx',
    'application/json, text/plain, */*',
    'nonsense',
    ';;;,,,',
  ])('gives data for %j, which does not ask for a page', (header) => {
    expect(prefersHtml(header)).toBe(false)
  })

  it.each([
    'text/html, application/json',
    'application/json, text/html',
    'text/html;q=0.5, application/json;q=0.5',
    'text/html, */*',
    'text/html, application/*',
    'text/html;q=0.8, */*;q=0.8',
  ])('gives data for %j, a tie', (header) => {
    expect(prefersHtml(header)).toBe(false)
  })

  it.each([
    'text/html;q=0.9, application/json',
    'text/html;q=0.1, */*;q=0.9',
    'text/html;q=0',
    'text/html;q=0, application/json;q=0',
    'text/html;q=, application/json',
    'text/html;q=x',
  ])('gives data for %j, which ranks a page below', (header) => {
    expect(prefersHtml(header)).toBe(false)
  })

  it('lets the range that says most decide, wherever it stands', () => {
    expect(prefersHtml('*/*;q=1, application/json;q=0.1, text/html;q=0.2')).toBe(true)
    expect(prefersHtml('text/html;q=0.2, application/*;q=0.1, */*;q=1')).toBe(true)
    expect(prefersHtml('text/*;q=1, text/html;q=0.1, application/json;q=0.2')).toBe(false)
  })

  it('reads a header of ten thousand ranges at once', () => {
    const header = `${'text/plain;q=0.1,'.repeat(10_000)}text/html`
    const started = Date.now()
    expect(prefersHtml(header)).toBe(true)
    expect(Date.now() - started).toBeLessThan(500)
  })
})
