/** node-forge, loaded when it is first used: that takes a while, and a companion that starts again has none to lose. */

export function forge(): typeof import('node-forge') {
  return require('node-forge')
}
