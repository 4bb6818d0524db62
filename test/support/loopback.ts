/** A server of a test's own for a protocol of lines, whose connections end with it. */

import net from 'node:net'

export interface Loopback {
  /** 0 when it listens on a Unix socket. */
  readonly port: number
  stop(): Promise<void>
}

/** Listens on the Unix socket `path`, or on a free port of 127.0.0.1. */
export async function listenLocally(serve: (socket: net.Socket) => void, path?: string): Promise<Loopback> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    serve(socket)
  })
  if (path === undefined) server.listen(0, '127.0.0.1')
  else server.listen(path)
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject))
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    stop: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
