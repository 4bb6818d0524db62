/**
 * A part of a benchmark in a process of its own, which is asked over Node's IPC: what is measured and what stands in
 * for the rest of the world must not share an event loop. Knows nothing of what the parts do.
 */

import { type ChildProcess, fork } from 'node:child_process'
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
  const questions = new Questions(child, name)
  return owned(scope, {
    ask: (method, ...[argument]) => questions.ask(method, argument) as Promise<never>,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      if (child.connected) child.disconnect()
      await ended
    },
  })
}

/** The questions that a part has not answered yet. */
class Questions {
  readonly #child: ChildProcess
  readonly #open = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  #lastId = 0

  constructor(child: ChildProcess, name: string) {
    this.#child = child
    child.on('message', ({ id, result, error }: Answer) => {
      const question = this.#open.get(id)
      this.#open.delete(id)
      if (error === undefined) question?.resolve(result)
      else question?.reject(new Error(`${name}: ${error}`))
    })
    child.on('error', error => this.#fail(error))
    child.on('exit', (code, signal) => this.#fail(new Error(`${name} ended by ${signal ?? code}`)))
  }

  ask(method: string, argument: unknown): Promise<unknown> {
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject })
      const question: Question = { id, method, argument }
      if (this.#child.connected) this.#child.send(question)
      else this.#fail(new Error('the process has ended'))
    })
  }

  #fail(error: Error): void {
    for (const { reject } of this.#open.values()) reject(error)
    this.#open.clear()
  }
}
