import { describe, expect, it } from 'vitest'
import { canonicalTarget, routedPath, targetOf } from '../src/paths'

/** Pairs of a target and its one form for comparison. */
const forms: [string, string][] = [
  ['/', '/'],
  ['//', '/'],
  ['/?', '/'],
  ['/?a', '/?a'],
  ['/systems', '/systems'],
  ['/systems/', '/systems'],
  ['/systems//', '/systems'],
  ['//systems///a//', '/systems/a'],
  ['/systems/?page=1', '/systems?page=1'],
  ['/systems?page=1&count=2', '/systems?page=1&count=2'],
  ['/systems?path=//a//', '/systems?path=//a//'],
  ['/a?b?c', '/a?b?c'],
  ['/%41%5a%61%7a%30%39%2d%2e%5f%7e', '/AZaz09-._~'],
  ['/a?%41=%7e', '/a?A=~'],
  ['/a%2fb', '/a%2Fb'],
  ['/a%2Fb', '/a%2Fb'],
  ['/a%2f%2fb', '/a%2F%2Fb'],
  ['/a%3fb', '/a%3Fb'],
  ['/a%23b', '/a%23b'],
  ['/a%40b%2bc', '/a%40b%2Bc'],
  ['/a@b+c', '/a@b+c'],
  ['/%28%29%21%2a%27', '/%28%29%21%2A%27'],
  ['/()!*', '/()!*'],
  ['/a%20b', '/a%20b'],
  ['/a b', '/a%20b'],
  ['/é', '/%C3%A9'],
  ['/%c3%a9', '/%C3%A9'],
  ['/a?é b', '/a?%C3%A9%20b'],
  ['/%2541', '/%2541'],
  ['/a/...', '/a/...'],
  ['/a/.b', '/a/.b'],
  ['/a/b..', '/a/b..'],
  ['/a?b=/../c', '/a?b=/../c'],
  ['/a/%2e%2e%2e', '/a/...'],
  ['/a?../b', '/a?../b'],
  ['/a\\b', '/a/b'],
]

describe('the form in which targets are compared', () => {
  it.each(forms)('of %j is %j', (target, form) => {
    expect(canonicalTarget(target)).toBe(form)
  })

  it.each(forms)('of %j is its own form', (target) => {
    const once = canonicalTarget(target)
    expect(canonicalTarget(once ?? '')).toBe(once)
  })

  it.each([
    '/a/./b',
    '/a/../b',
    '/a/%2e%2e/b',
    '/a/%2E./b',
    '/../../a',
    '/a/..',
    '/a/.',
    '/a/..?b',
    '/a/.#b',
    '/a\\..\\b',
    '/a/.\n./b',
  ])('is none for what climbs: %s', (target) => {
    expect(canonicalTarget(target)).toBeNull()
  })

  it('unescapes exactly the unreserved characters', () => {
    const unreserved = new Set('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~')
    for (let code = 0; code < 256; code++) {
      const escaped = `%${code.toString(16).padStart(2, '0')}`
      const char = String.fromCharCode(code)
      const form = unreserved.has(char) ? char : escaped.toUpperCase()
      expect(canonicalTarget(`/x${escaped}y?z${escaped}`)).toBe(`/x${form}y?z${form}`)
      expect(canonicalTarget(`/x${escaped.toUpperCase()}y`)).toBe(`/x${form}y`)
    }
  })

  it('is its own form for any mixture of segments, and none where one climbs', () => {
    const pieces = ['a', '.', '..', '', '%2e', '%2F', '%61', 'b@c', 'é', '%', '%4', '+', '?', '&']
    let state = 1
    const random = () => {
      state = (state * 48_271) % 2_147_483_647
      return state
    }
    for (let round = 0; round < 2_000; round++) {
      const length = 1 + (random() % 6)
      const picked = Array.from({ length }, () => pieces[random() % pieces.length])
      const target = `/${picked.join('/')}`
      const once = canonicalTarget(target)
      const segments = target.replace(/\?.*/, '').split('/')
      if (segments.some((segment) => /^(\.|%2e){1,2}$/.test(segment))) {
        expect(once, target).toBeNull()
        continue
      }
      expect(once, target).toMatch(/^\//)
      expect(canonicalTarget(once ?? ''), target).toBe(once)
      expect(once?.split('?')[0], target).not.toMatch(/\/\/|.\/$|\/\.\.?(\/|$)/)
    }
  })

  it('tells targets apart that name different things', () => {
    const different = [
      '/a/b',
      '/a%2Fb',
      '/a%252Fb',
      '/a',
      '/A',
      '/a?',
      '/a?b',
      '/a%3Fb',
      '/a?b=1&c=2',
      '/a?c=2&b=1',
      '/a@b',
      '/a%40b',
      '/a+b',
      '/a%2Bb',
      '/a%20b',
    ]
    const found = new Set(different.map(canonicalTarget))
    expect(found.size).toBe(different.length - 1) // `/a` and `/a?` are one
  })

  it.each([[''], ['systems'], ['?a'], ['https://host/systems'], [' /systems'], ['#/systems']])(
    'does not exist for %j',
    (target) => {
      expect(canonicalTarget(target)).toBeNull()
    },
  )
})

const request = (target: string) => new Request(`https://badges.example.org${target}`)

describe('the path by which a request is routed', () => {
  it.each([
    ['', '/'],
    ['/', '/'],
    ['//', '/'],
    ['/?a=b', '/'],
    ['/systems', '/systems'],
    ['/systems/', '/systems'],
    ['/systems///a//', '/systems/a'],
    ['/systems/?page=1', '/systems'],
    ['/systems?page=//', '/systems'],
    ['?page=1', '/'],
    ['/a%2fb', '/a%2fb'],
    ['/a%40b', '/a%40b'],
    ['/%61', '/%61'],
    ['/a/../b', '/b'],
    ['/a/%2e%2e/b', '/b'],
  ])('of %j is %j', (target, path) => {
    expect(routedPath(request(target))).toBe(path)
  })

  it('stays when it is routed again', () => {
    for (const [target] of forms) {
      const path = routedPath(request(target))
      expect(routedPath(request(path)), target).toBe(path)
    }
  })

  it('takes no part of host, port or user', () => {
    for (const origin of ['http://127.0.0.1:8787', 'https://u:p@host', 'http://[::1]:1']) {
      expect(routedPath(new Request(`${origin}/a//b/?c`))).toBe('/a/b')
      expect(targetOf(new Request(`${origin}/a//b/?c`))).toBe('/a//b/?c')
    }
  })
})

describe('the target of a request', () => {
  it.each([
    ['/', '/'],
    ['/systems?page=1', '/systems?page=1'],
    ['/a//b/?c=/', '/a//b/?c=/'],
    ['/a%40b', '/a%40b'],
  ])('%j stays as it was sent', (target, sent) => {
    expect(targetOf(request(target))).toBe(sent)
  })
})
