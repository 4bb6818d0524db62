/**
 * `npm run test:haraka-oldest`: runs the tests that start a Haraka against the oldest version that package.json allows,
 * with the dependencies that npm finds for it today. Words after it choose among the test files by their path.
 */

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const ROOT = path.resolve(__dirname, '../../..')
const COMPILED_TESTS = path.join(ROOT, 'dist', 'test')

/** Plugins that Haraka has as optional dependencies, and that the tests load. */
const PLUGINS = ['haraka-plugin-aliases', 'haraka-plugin-relay']

/** `>=3.1` of package.json → `3.1.0`. */
function oldestVersion(): string {
  const { peerDependencies } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'))
  const [, oldest] = /^>=(\d+\.\d+)$/.exec(peerDependencies.haraka) ?? []
  if (oldest === undefined)
    throw new Error(`peerDependencies.haraka is not >=X.Y: ${peerDependencies.haraka}`)
  return `${oldest}.0`
}

/** Installs that version where it is not yet, and returns its directory. Below node_modules, so `npm ci` removes it. */
function installedHaraka(version: string): string {
  const cache = path.join(ROOT, 'node_modules', '.cache')
  const directory = path.join(cache, `haraka-${version}`)
  if (!existsSync(directory)) {
    // Not mkdtemp, whose mode would keep the users out that Haraka becomes.
    const unfinished = path.join(cache, `haraka-${version}-${process.pid}`)
    mkdirSync(unfinished, { recursive: true })
    writeFileSync(path.join(unfinished, 'package.json'), '{ "private": true }\n')
    // npm has versions before 3.3 under the name with a capital only.
    const packages = [`Haraka@${version}`, ...PLUGINS]
    const options = ['--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    execFileSync('npm', ['install', ...options, ...packages], { cwd: unfinished, stdio: 'inherit' })
    renameSync(unfinished, directory)
  }
  return path.join(directory, 'node_modules', 'Haraka')
}

/** The compiled tests that start a Haraka, and that one of `words` chooses where there are any. */
function testFiles(words: readonly string[]): string[] {
  return readdirSync(COMPILED_TESTS, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.js'))
    .filter(name => words.length === 0 || words.some(word => name.includes(word)))
    .map(name => path.join(COMPILED_TESTS, name))
    .filter(file => /\bstart(?:Site|Haraka)\b/.test(readFileSync(file, 'utf8')))
    .sort()
}

function main(words: readonly string[]): void {
  const files = testFiles(words)
  if (files.length === 0) throw new Error(`no test that starts a Haraka is called ${words.join(' or ')}`)
  const haraka = installedHaraka(oldestVersion())
  console.log(`Testing with ${haraka}`)
  const options = ['--test', '--test-reporter=spec', '--test-timeout=120000']
  const env = { ...process.env, XAPS_TEST_HARAKA: haraka }
  const { status } = spawnSync(process.execPath, [...options, ...files], { env, stdio: 'inherit' })
  process.exitCode = status ?? 1
}

main(process.argv.slice(2))
