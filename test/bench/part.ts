/**
 * A part of a benchmark in a process of its own, which is asked over Node's IPC: what is measured and what stands in
 * for the rest of the world must not share an event loop. Knows nothing of what the parts do.
 */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { reasonOf } from '../../plugins/xaps/base/log.ts'
import { owned, type Scope } from '../support/owned.ts'

/** The questions to a part: functions of one argument or none. Arguments and results pass through JSON. */
type Api<A> = { readonly [K in keyof A]: (argument: never) => unknown }

type Arguments<F> = F extends (...args: infer T) => unknown ? T : never
type Result<F> = F extends (...args: never) => infer T ? Awaited<T> : never

export interface Part<A extends Api<A>> {
  /** Rejects with the part's error, or when it has ended. */
  ask<K extends keyof A & string>(method: K, ...argument: Arguments<A[K]>): Promise<Result<A[K]>>
  /** Resolves when the process has ended. */
  stop(): Promise<void>
}

interface Question {
  readonly id: number
  readonly method: string
  readonly argument: unknown
}

interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

/** The part's side: answers questions until its parent goes away. Returns `api`, whose type is the parent's to know. */
export function servePart<A extends Api<A>>(api: A): A {
  const methods = api as unknown as Readonly<Record<string, (argument: unknown) => unknown>>
  const answer = async ({ id, method, argument }: Question): Promise<Answer> => {
    try {
      return { id, result: await methods[method]?.(argument) }
    } catch (error) {
      return { id, error: error instanceof Error ? (error.stack ?? error.message) : reasonOf(error) }
    }
  }
  process.on('message', (question: Question) => {
    void answer(question).then(said => process.send?.(said))
  })
  process.once('disconnect', () => process.exit(0))
  return api
}

/** Node's flags for a CPU profile, when one is wanted. */
export function profiling(directory: string | undefined): string[] {
  return directory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${directory}`]
}

/** Starts test/bench/parts/`name` with these flags of Node's. It ends with `scope`. */
export function startPart<A extends Api<A>>(scope: Scope, name: string, execArgv: string[] = []): Part<A> {
  const child = fork(path.join(__dirname, 'parts', `${name}.js`), [], { execArgv })
  /** What settles the questions that are not answered yet. */
  const open = new Map<number, (answer: Pick<Answer, 'result' | 'error'>) => void>()
  let lastId = 0
  const failAll = (error: string) => {
    for (const settle of open.values()) settle({ error })
    open.clear()
  }
  child.on('message', (answer: Answer) => {
    open.get(answer.id)?.(answer)
    open.delete(answer.id)
  })
  child.on('error', error => failAll(reasonOf(error)))
  child.on('exit', (code, signal) => failAll(`ended by ${signal ?? code}`))
  return owned(scope, {
    ask: (method, ...[argument]) =>
      new Promise((resolve, reject) => {
        const id = ++lastId
        open.set(id, ({ result, error }) => {
          if (error === undefined) resolve(result as never)
          else reject(new Error(`${name}: ${error}`))
        })
        const question: Question = { id, method, argument }
        if (child.connected) child.send(question)
        else failAll('the process has ended')
      }),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      if (child.connected) child.disconnect()
      await ended
    },
  })
}
