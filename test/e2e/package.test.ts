import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { type Ended, run } from './run.ts'
import { startSite } from './setup.ts'

const ROOT = path.join(__dirname, '../../..')
const COMPILED = path.join(__dirname, '../..')

/** The files that users need; any other would be development's. */
const PACKED =
  /^(?:package\.json|LICENSE|(?:README|CHANGELOG|CONTRIBUTING|SECURITY)\.md|config\/xaps\.ini|docs\/[\w-]+\.md|contrib\/(?:systemd|prometheus|grafana)\/xaps[\w.]+|dist\/plugins\/xaps\/observe\/page\/(?:index\.html|xaps\.css|icon\.svg|package\.json)|dist\/plugins\/(?:xaps|xaps\/[\w/-]+)\.js(?:\.map)?|dist\/plugins\/xaps\/xaps\.1)$/

const NEEDED = [
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
  'config/xaps.ini',
  'dist/plugins/xaps.js',
  'dist/plugins/xaps/observe/page/index.html',
  'contrib/systemd/xaps.service',
  'contrib/prometheus/xaps.rules.yml',
  'contrib/grafana/xaps.json',
  'dist/plugins/xaps/xaps.1',
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
      const site = await startSite(context, { link: installed })
      await site.register(ALICE)
      await site.mail(ALICE.user)
      await site.pushed(1)
      assert.deepEqual(site.tokens(), [ALICE.token])
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
    filter: file => !/^(?:node_modules|\.git|dist.*)$/.test(path.relative(ROOT, file)),
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

/** Unpacks as npm does; the dependencies that the package names are taken from the repository. */
async function install(t: TestContext, tarball: string): Promise<string> {
  const modules = path.join(owned(t, tempDirectory()).path, 'node_modules')
  const directory = path.join(modules, 'haraka-plugin-xaps')
  mkdirSync(directory, { recursive: true })
  succeeded(await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', directory]))
  for (const name of Object.keys(manifestOf(directory).dependencies)) {
    const target = path.join(modules, name)
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
