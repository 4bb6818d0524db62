import path from 'node:path'
import { createStore, deviceFiles } from '../../plugins/xaps/device/lmdb-directory.ts'
import { openEnvironment } from '../../plugins/xaps/device/lmdb-environment.ts'
import { tempDirectory } from '../support/temp.ts'
import { storeContract } from './contract.ts'

storeContract('LMDB', false, async () => {
  const temp = tempDirectory()
  const directory = path.join(temp.path, 'xaps')
  const files = deviceFiles(directory)
  createStore(directory, files)
  const db = await openEnvironment(files)
  return {
    uri: `lmdb:${directory}`,
    async writeRaw(namespace, key, text) {
      await db.put(`${namespace}::${key}`, text, Math.random())
    },
    async remove() {
      await db.close()
      temp.remove()
    },
  }
})
