/**
 * A socket that is bound and not listened on: a child process that inherits the descriptor does that. As long as it is
 * open here, connections wait while the child is started again.
 *
 * Node's public interface can only listen, and then it accepts too. What it calls underneath binds alone; it has been
 * there under this name, undocumented, since Node 0.6, and this is the only place that uses it.
 */

import net from 'node:net'
import { getSystemErrorName } from 'node:util'

export interface BoundHandle {
  readonly fd: number
  close(): void
}

interface NodeHandle extends BoundHandle {
  /** Only a TCP handle has it. Returns an error number, or 0. */
  getsockname?(name: { address?: string; port?: number }): number
}

type CreateHandle = (address: string, port: number, addressType: number) => NodeHandle | number

/**
 * Binds to a path (`port` and `addressType` are -1), or to an IP address with `addressType` 4 or 6. Throws an Error with
 * the system's `code`.
 */
export function bindOnly(address: string, port: number, addressType: number): BoundHandle {
  const create = (net as unknown as { _createServerHandle?: CreateHandle })._createServerHandle
  if (!create)
    throw new Error(
      `this Node (${process.version}) cannot hand a socket to a child: run \`xaps serve\` as a service of its own, and set [registration] enabled = false`,
    )
  const handle = create(address, port, addressType)
  if (typeof handle === 'number') throw systemError(handle)
  // That another process has the address is kept for the one who listens; without an address that would be any port.
  const failure = handle.getsockname?.({}) ?? 0
  if (failure === 0) return { fd: handle.fd, close: () => handle.close() }
  handle.close()
  throw systemError(failure)
}

function systemError(number: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(number)
  return Object.assign(new Error(`bind: ${code}`), { code })
}
