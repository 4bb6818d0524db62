/** A process that sends pushes, closes its transport and has nothing more to do. argv: credentials, endpoint (JSON). */

import { once } from 'node:events'
import { Transport } from '../../plugins/xaps/apns/transport.ts'
import { deviceOf } from '../push/parts.ts'
import { noLog } from '../support/recorded-log.ts'

async function main([credentials = '', endpoint = '']: string[]): Promise<void> {
  const transport = new Transport(JSON.parse(credentials), JSON.parse(endpoint), noLog)
  void transport.push(deviceOf(1))
  process.stdout.write('sending\n')
  await once(process.stdin, 'data')
  process.stdin.destroy()
  await transport.close(100)
  process.stdout.write('closed\n')
}

void main(process.argv.slice(2))
