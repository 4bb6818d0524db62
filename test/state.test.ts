import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { makeDirectory } from '../plugins/xaps/state.ts'
import { owned } from './support/owned.ts'
import { tempDirectory } from './support/temp.ts'

/** Debian's nobody, and another user that owns nothing. */
const NOBODY = 65534
const OTHER = 12345

const skip = process.getuid?.() !== 0 && 'not run: only root can give something away'

function setup(t: TestContext) {
  const temp = owned(t, tempDirectory())
  const directory = path.join(temp.path, 'deep', 'store')
  const make = (uid = NOBODY) =>
    makeDirectory({ path: directory, mode: 0o770, files: /^ours/ }, { uid, gid: uid })
  const ownerOf = (name: string) => fs.lstatSync(path.join(directory, name)).uid
  return { temp, directory, make, ownerOf }
}

test('makes the directory for its user, below directories that stay as they are', { skip }, t => {
  const { directory, make } = setup(t)
  assert.equal(make(), true)
  const { uid, gid, mode } = fs.statSync(directory)
  assert.deepEqual([uid, gid, mode & 0o777], [NOBODY, NOBODY, 0o770])
  const above = fs.statSync(path.dirname(directory))
  assert.deepEqual([above.uid, above.mode & 0o755], [0, 0o755])
})

test('hands over what root, or the user before, has made, and follows no link', { skip }, t => {
  const { temp, directory, make, ownerOf } = setup(t)
  const target = path.join(temp.path, 'of-root')
  fs.writeFileSync(target, '')
  make(OTHER)
  fs.writeFileSync(path.join(directory, 'ours'), '')
  fs.symlinkSync(target, path.join(directory, 'ours.link'))
  fs.linkSync(target, path.join(directory, 'ours.twice'))
  assert.equal(make(), true)
  assert.deepEqual(
    [ownerOf('.'), ownerOf('ours'), ownerOf('ours.link'), ownerOf('ours.twice')],
    [NOBODY, NOBODY, 0, 0],
  )
  assert.equal(fs.statSync(target).uid, 0)
})

test('touches nothing where somebody else could lead root elsewhere', { skip }, t => {
  const { temp, directory, make } = setup(t)
  fs.chownSync(temp.path, NOBODY, NOBODY)
  assert.equal(make(), false)
  assert.equal(fs.existsSync(directory), false)
  fs.chownSync(temp.path, 0, 0)
  fs.chmodSync(temp.path, 0o775)
  assert.equal(make(), false)
  fs.chmodSync(temp.path, 0o1777)
  assert.equal(make(), true)
})

test('leaves a directory alone in which there is something else, and does not go through a link', {
  skip,
}, t => {
  const other = setup(t)
  fs.mkdirSync(other.directory, { recursive: true })
  fs.writeFileSync(path.join(other.directory, 'passwd'), '')
  assert.equal(other.make(), false)
  assert.deepEqual([other.ownerOf('.'), other.ownerOf('passwd')], [0, 0])
  const { temp, directory, make } = setup(t)
  fs.mkdirSync(path.dirname(directory))
  fs.symlinkSync(temp.path, directory)
  assert.throws(() => make())
  assert.equal(fs.statSync(temp.path).uid, 0)
})
