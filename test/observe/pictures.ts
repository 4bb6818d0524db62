/**
 * Takes the pictures of the status page in docs/: `npm run build && node dist/test/observe/pictures.js`. With a directory as
 * argument it takes one of every kind of day there, wide and narrow, light and dark, to be looked at.
 */

import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Page, startChromium } from '../support/chromium.ts'
import { until } from '../support/wait.ts'
import { ALL_DAYS, type Day, overviewOf } from './overviews.ts'
import { servePage } from './serve-page.ts'

const AT = Date.UTC(2030, 4, 14, 14, 32, 5)

interface Picture {
  readonly file: string
  readonly day: Day
  readonly scheme: 'light' | 'dark'
  readonly width: number
  /** The element at whose end the picture ends; the whole page without it. */
  readonly until?: string
}

const DOCUMENTED: readonly Picture[] = [
  { file: 'docs/status-light.png', day: 'usual', scheme: 'light', width: 1120, until: '.charts' },
  { file: 'docs/status-dark.png', day: 'Apple away', scheme: 'dark', width: 1120, until: '.charts' },
]

function everything(directory: string): Picture[] {
  return ALL_DAYS.flatMap(day =>
    (['light', 'dark'] as const).flatMap(scheme =>
      [1120, 390].map(width => {
        const file = path.join(directory, `${day.replaceAll(' ', '-')}-${scheme}-${width}.png`)
        return { file, day, scheme, width }
      }),
    ),
  )
}

async function main(): Promise<void> {
  const [directory] = process.argv.slice(2)
  const browser = await startChromium()
  const served = await servePage(() => overviewOf('usual', AT))
  for (const picture of directory === undefined ? DOCUMENTED : everything(directory)) {
    served.overview = () => overviewOf(picture.day, AT)
    const page = await browser.newPage({ width: picture.width, height: 900 })
    await take(page, served.url, picture)
    await page.close()
    for (const complaint of page.complaints) console.error(`${picture.file}: ${complaint}`)
  }
  await browser.close()
  await served.close()
}

async function take(
  page: Page,
  url: string,
  { file, scheme, width, until: last = 'html' }: Picture,
): Promise<void> {
  const features = [{ name: 'prefers-color-scheme', value: scheme }]
  await page.send('Emulation.setEmulatedMedia', { features })
  await page.send('Emulation.setTimezoneOverride', { timezoneId: 'UTC' })
  await page.open(url)
  await until(() => page.read(`document.querySelector('#live').dataset.live === 'yes'`), 'the overview')
  const height = await page.read<number>(
    `Math.ceil(document.querySelector('${last}').getBoundingClientRect().bottom)`,
  )
  const clip = { x: 0, y: 0, width, height, scale: 1 }
  const { data } = await page.send('Page.captureScreenshot', { captureBeyondViewport: true, clip })
  writeFileSync(file, Buffer.from(String(data), 'base64'))
}

void main()
