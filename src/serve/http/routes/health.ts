import type { App, Call } from '../environment.ts'
import type { Served } from '../served.ts'

/** Signs of life, which need no key: whoever runs the service asks for them. */
export function addHealth(app: App, served: Served): void {
  const states = (): Readonly<Record<string, string>> =>
    Object.fromEntries([...served.models.values()].map(({ name, served: { state } }) => [name, state]))
  const answer = (c: Call, status: 'ok' | 'unavailable'): Response =>
    c.json({ status, models: states() }, status === 'ok' ? 200 : 503)
  const ready = async (c: Call): Promise<Response> => answer(c, (await served.isReady()) ? 'ok' : 'unavailable')

  for (const path of healthPaths(served)) {
    if (path === '/health/live') app.get(path, (c) => answer(c, 'ok'))
    else if (path === '/health/startup') app.get(path, (c) => answer(c, served.hasStarted ? 'ok' : 'unavailable'))
    else app.get(path, ready)
  }
}

/** The routes above; `health_check_path` is one more name of `/health/ready`. */
export function healthPaths({ config }: Pick<Served, 'config'>): readonly string[] {
  const own = config.appSettings.deploymentConfig.healthCheckPath
  const paths = ['/health/live', '/health/startup', '/health/ready', '/health']
  return own?.startsWith('/') === true && !paths.includes(own) ? [...paths, own] : paths
}
