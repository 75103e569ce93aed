/** The steps in which a credential is judged, in their order (Open Badges 3.0 §9, and those of 2.0 hosted verification). */
export const STEPS = ['document', 'proof', 'issuer', 'status', 'validity', 'recipient'] as const
export const RESULTS = ['passed', 'failed', 'unknown'] as const

/** How a step came out. `unknown`: it could not be carried out. Messages quote nothing: what is judged may be personal. */
export type Verdict = { result: (typeof RESULTS)[number]; message: string }
export type Step = { name: (typeof STEPS)[number] } & Verdict

export type Summary = {
  version: string
  name: string | null
  issuer: string | null
  issuedOn: string | null
  expires: string | null
}
export type Report = { verified: boolean; steps: Step[]; credential: Summary | null }

/** One verdict for each step; the recipient's only when it was asked for. */
export type Verdicts = Record<Exclude<Step['name'], 'recipient'>, Verdict> & {
  recipient?: Verdict | null
}

export const passed = (message: string): Verdict => ({ result: 'passed', message })
export const failed = (message: string): Verdict => ({ result: 'failed', message })
export const unknown = (message: string): Verdict => ({ result: 'unknown', message })

/** The report of all verdicts: a credential is verified when all that was asked for has passed, and nothing is left open. */
export function reportOf(verdicts: Verdicts, credential: Summary | null): Report {
  const steps = STEPS.flatMap((name): Step[] => {
    const verdict = verdicts[name]
    return verdict ? [{ name, ...verdict }] : []
  })
  return { verified: steps.every(({ result }) => result === 'passed'), steps, credential }
}

const SKIPPED = unknown('Not looked at, because of what was found before')

/** A report that ends early: the steps that it does not name could not be carried out. */
export const endedBy = (verdicts: Partial<Verdicts>, credential: Summary | null = null): Report =>
  reportOf(
    {
      document: SKIPPED,
      proof: SKIPPED,
      issuer: SKIPPED,
      status: SKIPPED,
      validity: SKIPPED,
      ...verdicts,
    },
    credential,
  )
