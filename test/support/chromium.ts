/**
 * A real Chromium without a window, steered by its DevTools protocol over a pipe: pages are loaded, looked at and typed into.
 * What a page says on its console, throws, or is kept from loading is collected.
 */

import { spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { tempDirectory } from './temp.ts'

type Params = Readonly<Record<string, unknown>>
type Answer = Record<string, unknown>

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: Answer
  readonly result?: Answer
  readonly error?: { readonly message: string }
}

/** One tab. */
export interface Page {
  /** Warnings and errors of the console, exceptions, and what the page's policy forbade. */
  readonly complaints: readonly string[]
  send(method: string, params?: Params): Promise<Answer>
  /** Goes to a URL and resolves when the page has loaded. */
  open(url: string): Promise<void>
  /** The value of an expression in the page, as JSON has it; a promise is waited for. */
  read<T>(expression: string): Promise<T>
  /** Presses and releases a key such as `Tab`. */
  press(key: string): Promise<void>
  close(): Promise<unknown>
}

export interface Browser {
  newPage(size?: { readonly width: number; readonly height: number }): Promise<Page>
  close(): Promise<void>
}

/** Without a sandbox, since tests run as root; nothing but the pages of the test is opened. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-extensions',
  '--disable-background-networking',
  '--disable-component-update',
  '--no-first-run',
  '--remote-debugging-pipe',
]

export async function startChromium(command = 'chromium'): Promise<Browser> {
  const temp = tempDirectory('xaps-chromium-')
  const child = spawn(command, [...FLAGS, `--user-data-dir=${temp.path}`], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, HOME: temp.path },
  })
  const ended = new Promise<void>(resolve =>
    child.once('exit', () => resolve()).once('error', () => resolve()),
  )
  const wire = new Wire(child.stdio[3] as Writable, child.stdio[4] as Readable)
  void ended.then(() => wire.end())
  return {
    newPage: size => openPage(wire, size),
    async close() {
      wire.send('Browser.close').catch(() => child.kill())
      await ended
      temp.remove()
    },
  }
}

/** Messages end with a NUL. Answers are told from events by their `id`. */
class Wire {
  readonly #out: Writable
  readonly #waiting = new Map<number, (message: Message) => void>()
  readonly #listeners = new Set<(message: Message) => void>()
  #last = 0
  #rest = ''

  constructor(out: Writable, input: Readable) {
    this.#out = out.on('error', () => this.end())
    input.setEncoding('utf8').on('data', (text: string) => {
      const whole = (this.#rest + text).split('\0')
      this.#rest = whole.pop() ?? ''
      for (const message of whole) this.#take(JSON.parse(message) as Message)
    })
  }

  on(listener: (message: Message) => void): void {
    this.#listeners.add(listener)
  }

  send(method: string, params: Params = {}, sessionId?: string): Promise<Answer> {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) =>
        error ? reject(new Error(`${method}: ${error.message}`)) : resolve(result ?? {}),
      )
      this.#out.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    })
  }

  /** The browser has gone. */
  end(): void {
    for (const answer of this.#waiting.values()) answer({ error: { message: 'the browser has ended' } })
    this.#waiting.clear()
  }

  #take(message: Message): void {
    const answer = this.#waiting.get(message.id ?? -1)
    this.#waiting.delete(message.id ?? -1)
    if (answer) answer(message)
    else for (const listener of this.#listeners) listener(message)
  }
}

async function openPage(wire: Wire, size = { width: 1280, height: 900 }): Promise<Page> {
  const { targetId } = await wire.send('Target.createTarget', { url: 'about:blank' })
  const attached = await wire.send('Target.attachToTarget', { targetId, flatten: true })
  const sessionId = String(attached.sessionId)
  const send = (method: string, params?: Params) => wire.send(method, params, sessionId)
  const complaints: string[] = []
  let loaded = () => undefined as unknown
  wire.on(({ method, params = {}, ...rest }) => {
    if ((rest as { sessionId?: string }).sessionId !== sessionId) return
    if (method === 'Page.loadEventFired') loaded()
    const complaint = complaintIn(method, params)
    if (complaint !== undefined) complaints.push(complaint)
  })
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await send(`${domain}.enable`)
  await send('Emulation.setDeviceMetricsOverride', { ...size, deviceScaleFactor: 1, mobile: false })
  return {
    complaints,
    send,
    async open(url) {
      const done = new Promise<unknown>(resolve => (loaded = () => resolve(undefined)))
      await send('Page.navigate', { url })
      await done
    },
    async read<T>(expression: string) {
      const options = { returnByValue: true, awaitPromise: true }
      const { result, exceptionDetails } = await send('Runtime.evaluate', { expression, ...options })
      if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails))
      return (result as { value: T }).value
    },
    close: () => wire.send('Target.closeTarget', { targetId }),
    async press(key) {
      for (const type of ['rawKeyDown', 'keyUp'])
        await send('Input.dispatchKeyEvent', { type, key, code: key, windowsVirtualKeyCode: KEYS[key] ?? 0 })
    },
  }
}

const KEYS: Readonly<Record<string, number>> = { Tab: 9, Enter: 13 }

function complaintIn(method: string | undefined, params: Answer): string | undefined {
  if (method === 'Runtime.exceptionThrown') return JSON.stringify(params.exceptionDetails)
  if (method === 'Log.entryAdded') return JSON.stringify(params.entry)
  if (method === 'Runtime.consoleAPICalled' && /^(?:error|warning|assert)$/.test(String(params.type)))
    return JSON.stringify(params.args)
  return undefined
}
