/** A small SMTP client: one connection, many mails, the server's answer to each recipient. */

import net from 'node:net'

const REPLY_TIMEOUT_MS = 30_000

export interface Reply {
  readonly code: number
  /** The text of all its lines, joined by newlines, without the codes. */
  readonly text: string
}

export interface Mail {
  readonly from: string
  readonly to: readonly string[]
  readonly subject?: string
  /** Plain text with LF or CRLF; the headers are made here. */
  readonly body?: string
}

export interface SmtpResult {
  /** The answer to each RCPT, in the order of the mail's recipients. */
  readonly recipients: readonly (Reply & { readonly address: string })[]
  /** The answer to the mail itself; to the last RCPT when none was accepted; to MAIL when that was refused. */
  readonly reply: Reply
  readonly accepted: boolean
}

/** Sends one mail over a connection of its own. Rejects when the connection fails or no answer comes. */
export async function sendMail({ port, ...mail }: Mail & { readonly port: number }): Promise<SmtpResult> {
  const connection = await SmtpConnection.open(port)
  try {
    return await connection.send(mail)
  } finally {
    await connection.quit()
  }
}

export class SmtpConnection {
  readonly #socket: net.Socket
  readonly #waiting: ((reply: Reply | Error) => void)[] = []
  #received = ''
  #lines: string[] = []

  private constructor(socket: net.Socket) {
    this.#socket = socket.setEncoding('utf8').setNoDelay(true).setTimeout(REPLY_TIMEOUT_MS)
    socket.on('data', (chunk: string) => this.#read(chunk))
    socket.on('timeout', () => socket.destroy(new Error('no SMTP reply in time')))
    socket.on('error', error => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('SMTP connection closed')))
  }

  /** Connects to `port` of 127.0.0.1 and says EHLO, or LHLO to send mails of one recipient by LMTP. */
  static async open(port: number, hello = 'EHLO'): Promise<SmtpConnection> {
    const connection = new SmtpConnection(net.connect(port, '127.0.0.1'))
    expect(await connection.#reply(), 220)
    expect(await connection.command(`${hello} client.example.net`), 250)
    return connection
  }

  /** Sends one command and resolves with the answer, whatever it is. */
  command(line: string): Promise<Reply> {
    this.#socket.write(`${line}\r\n`)
    return this.#reply()
  }

  /** Sends one mail. A refusal is a result; only a broken connection rejects. */
  async send(mail: Mail): Promise<SmtpResult> {
    const sender = await this.command(`MAIL FROM:<${mail.from}>`)
    if (sender.code !== 250) return { recipients: [], reply: sender, accepted: false }
    const recipients: (Reply & { address: string })[] = []
    for (const address of mail.to) {
      recipients.push({ address, ...(await this.command(`RCPT TO:<${address}>`)) })
    }
    if (!recipients.some(({ code }) => code === 250)) {
      await this.command('RSET')
      return { recipients, reply: recipients.at(-1) ?? sender, accepted: false }
    }
    const data = await this.command('DATA')
    const reply = data.code === 354 ? await this.command(messageOf(mail)) : data
    return { recipients, reply, accepted: reply.code === 250 }
  }

  async quit(): Promise<void> {
    if (!this.#socket.destroyed) await this.command('QUIT').catch(() => undefined)
    this.#socket.destroy()
  }

  #reply(): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Error('SMTP connection closed'))
      this.#waiting.push(reply => (reply instanceof Error ? reject(reply) : resolve(reply)))
    })
  }

  #read(chunk: string): void {
    const lines = (this.#received + chunk).split('\r\n')
    this.#received = lines.pop() ?? ''
    for (const line of lines) {
      this.#lines.push(line.slice(4))
      if (line[3] === '-') continue
      this.#waiting.shift()?.({ code: Number(line.slice(0, 3)), text: this.#lines.join('\n') })
      this.#lines = []
    }
  }

  #fail(error: Error): void {
    for (const settle of this.#waiting.splice(0)) settle(error)
  }
}

function expect(reply: Reply, code: number): void {
  if (reply.code !== code) throw new Error(`SMTP server answered ${reply.code} ${reply.text}`)
}

/** Headers and body with dots stuffed and the final dot, ready for the wire but for the last line's end. */
function messageOf({ from, to, subject = 'A test', body = 'Hello.' }: Mail): string {
  const headers = [
    `From: <${from}>`,
    `To: ${to.map(address => `<${address}>`).join(', ')}`,
    `Subject: ${subject}`,
    `Date: ${new Date().toUTCString()}`,
  ]
  const lines = [...headers, '', ...body.split(/\r?\n/)].map(line => line.replace(/^\./, '..'))
  return [...lines, '.'].join('\r\n')
}
