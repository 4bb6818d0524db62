import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { type Ended, run } from './run.ts'
import { mailTo, pushed, startSite } from './setup.ts'

const ROOT = path.join(__dirname, '../../..')
const COMPILED = path.join(__dirname, '../..')

/** The files that users need; any other would be development's. */
const PACKED =
  /^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md|config\/xaps\.ini|docs\/[\w-]+\.md|contrib\/systemd\/xaps\.\w+|dist\/plugins\/(?:xaps|xaps\/[\w/-]+)\.js(?:\.map)?)$/

const NEEDED = [
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
  'config/xaps.ini',
  'dist/plugins/xaps.js',
  'contrib/systemd/xaps.service',
]

const ALICE = phoneOf('alice@example.com')

test('the packed package', async t => {
  const { files, tarball } = await pack(t)

  await t.test('holds what users need and no more', () => {
    assert.deepEqual(
      files.filter(file => !PACKED.test(file)),
      [],
    )
    for (const file of NEEDED) assert.ok(files.includes(file), file)
  })
  const installed = await install(t, tarball)
  await t.test('has the command that it names', async () => {
    const { bin, version } = manifestOf(installed)
    const command = path.join(installed, bin.xaps ?? '')
    assert.equal((await run(process.execPath, [command, '--version'])).stdout, `${version}\n`)
  })
  await t.test(
    'pushes in another Haraka directory, with nothing beside it but its dependencies',
    async context => {
      const { apple, ...site } = await startSite(context, { link: installed })
      assert.equal(await registerByLine(site.socket, ALICE), `OK ${MAIL_TOPIC}\r\n`)
      await mailTo(site, ALICE.user)
      const [push] = await pushed(apple, site, 1)
      assert.equal(push?.token, ALICE.token)
      assert.ok(site.children().every(({ command }) => command.includes(installed)))
    },
  )
})

/** Packs the repository, with the code that was compiled together with this test. */
async function pack(t: TestContext): Promise<{ files: string[]; tarball: string }> {
  const temp = owned(t, tempDirectory())
  const copy = path.join(temp.path, 'repository')
  cpSync(ROOT, copy, {
    recursive: true,
    filter: file => !/^(?:node_modules|\.git|dist.*)$/.test(belowRoot(file)),
  })
  cpSync(COMPILED, path.join(copy, 'dist'), { recursive: true })
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', temp.path]
  const { stdout } = succeeded(await run('npm', args, { cwd: copy }))
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[]
  assert.ok(packed)
  return {
    files: packed.files.map(file => file.path),
    tarball: path.join(temp.path, packed.filename),
  }
}

function belowRoot(file: string): string {
  return path.relative(ROOT, file)
}

/** Unpacks as npm does; the dependencies that the package names are taken from the repository. */
async function install(t: TestContext, tarball: string): Promise<string> {
  const temp = owned(t, tempDirectory())
  const directory = path.join(temp.path, 'node_modules', 'haraka-plugin-xaps')
  mkdirSync(directory, { recursive: true })
  succeeded(await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', directory]))
  for (const name of Object.keys(manifestOf(directory).dependencies)) {
    const target = path.join(temp.path, 'node_modules', name)
    mkdirSync(path.dirname(target), { recursive: true })
    symlinkSync(path.join(ROOT, 'node_modules', name), target)
  }
  return directory
}

interface Manifest {
  readonly version: string
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
}

function manifestOf(directory: string): Manifest {
  return JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')) as Manifest
}

function succeeded(ended: Ended): Ended {
  assert.equal(ended.status, 0, ended.stderr)
  return ended
}
