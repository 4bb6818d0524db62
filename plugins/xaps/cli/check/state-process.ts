/** The process of the service's user: a question as JSON on standard input, the findings as JSON lines on standard output. */

import { json } from 'node:stream/consumers'
import { checkState, type StateQuestion } from './state.ts'

async function main(): Promise<void> {
  const question = (await json(process.stdin)) as StateQuestion
  for await (const finding of checkState(question)) process.stdout.write(`${JSON.stringify(finding)}\n`)
}

void main()
