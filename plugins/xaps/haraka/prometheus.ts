/**
 * A worker's counters and histograms in the registry that haraka-plugin-prometheus serves: the global one of the prom-client
 * that the plugin has brought, of whichever version. Where no prom-client is loaded nothing happens. Brings none itself.
 */

import { type Log, reasonOf } from '../base/log.ts'
import { type Family, familyOf, SUMMED } from '../observe/families.ts'
import { NO_SUMS, type Sums } from '../observe/metrics.ts'

/** What is used of prom-client's Registry; the same in versions 14 and 15. */
interface Registry {
  registerMetric(metric: SharedMetric): void
  removeSingleMetric(name: string): void
}

/** What prom-client's registries call on a metric. */
interface SharedMetric {
  readonly name: string
  readonly help: string
  readonly type: Family['type']
  readonly aggregator: Family['aggregator']
  get(): Family
  reset(): void
}

/** Each installed copy has its own, also under another name (`prom-client-14`), as aliases of npm's have. */
const REGISTRY_FILE = /prom-client[^/\\]*[/\\]lib[/\\]registry\.js$/

/**
 * Shows the process' sums in every global registry of a prom-client that is loaded; asks for them at each scrape. Once more
 * replaces what was there of ours. Call it when all plugins are loaded. Never throws: what a registry throws is logged.
 */
export function shareSums(sums: () => Sums, log: Log): void {
  for (const registry of loadedRegistries())
    try {
      share(registry, sums)
    } catch (error) {
      log.warn('Prometheus metrics cannot be shown by haraka-plugin-prometheus', { cause: reasonOf(error) })
    }
}

function loadedRegistries(): Registry[] {
  return Object.entries(require.cache)
    .filter(([file]) => REGISTRY_FILE.test(file))
    .flatMap(([, module]) => module?.exports?.globalRegistry ?? [])
}

function share(registry: Registry, sums: () => Sums): void {
  for (const name of SUMMED) {
    const { help, type, aggregator } = familyOf(name, NO_SUMS)
    registry.removeSingleMetric(name)
    registry.registerMetric({
      name,
      help,
      type,
      aggregator,
      // The registry changes the metric's own name where it writes OpenMetrics.
      get() {
        return { ...familyOf(name, sums()), name: this.name }
      },
      // The sums are the process', and shown elsewhere too.
      reset: () => undefined,
    })
  }
}
