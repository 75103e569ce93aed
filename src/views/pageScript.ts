/**
 * What a page can do beside being read: copy its address, have the award verified, compare an email address. It stands in the page
 * itself, and the policy allows its hash and nothing else. Its controls wait in templates, so that nobody sees one who cannot use it.
 */
export const SCRIPT = `
for (const one of document.querySelectorAll('template')) one.replaceWith(one.content)
const byId = (id) => document.getElementById(id)
const say = (id, text) => { byId(id).textContent = text }

byId('copy')?.addEventListener('click', async ({ currentTarget: { dataset } }) => {
  try {
    await navigator.clipboard.writeText(dataset.url)
    say('copied', 'The link is copied.')
  } catch {
    say('copied', dataset.url)
  }
})

async function asked(button, id, work) {
  button.disabled = true
  say(id, 'Checking…')
  try {
    say(id, await work())
  } catch {
    say(id, 'The check could not be carried out. Try again later.')
  }
  button.disabled = false
}

const words = { passed: 'Passed', failed: 'Failed', unknown: 'Not known' }

byId('check').addEventListener('click', ({ currentTarget: button }) =>
  asked(button, 'checked', async () => {
    const { url, verify } = button.dataset
    const body = JSON.stringify({ url })
    const headers = { 'Content-Type': 'application/json' }
    const answer = await fetch(verify, { method: 'POST', headers, body })
    if (!answer.ok) throw new Error()
    const { steps } = await answer.json()
    for (const { name, result, message } of steps) {
      const item = byId('check-' + name)
      item.className = result
      item.querySelector('b').textContent = words[result]
      item.querySelector('p').textContent = message + '.'
    }
    const passed = steps.filter(({ result }) => result === 'passed').length
    return passed + ' of ' + steps.length + ' checks passed.'
  }))

async function hash(text) {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0'))
  return 'sha256$' + hex.join('')
}

byId('belongs').addEventListener('submit', (event) => {
  event.preventDefault()
  const form = event.currentTarget
  asked(form.querySelector('button'), 'belonging', async () => {
    const { recipient } = await (await fetch(form.dataset.url)).json()
    const own = await hash(form.elements.email.value.trim().toLowerCase() + recipient.salt)
    return own === recipient.identity
      ? 'This badge belongs to that email address.'
      : 'This badge does not belong to that email address.'
  })
})
`
