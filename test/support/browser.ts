import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { until } from './child.ts';

/** Debian's own browser: what a nurse's desktop runs, and nothing a package manager of ours has to download. */
const CHROMIUM = '/usr/bin/chromium';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

export const launchBrowser = (): Promise<Browser> => {
  if (!existsSync(CHROMIUM))
    throw new Error(`There is no ${CHROMIUM}. As root: apt-get install --no-install-recommends chromium`);
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
};

/** What test/browser/page.js brings into every page. */
export type InPage = {
  ask(
    path: string,
    options?: {
      method?: string;
      json?: unknown;
      token?: string;
      mode?: string;
      credentials?: string;
      body?: string;
    },
  ): Promise<{ status: number | 'failed'; body: Record<string, unknown> | null }>;
  play(name: string, url: string): Promise<{ duration: number; reached: number }>;
  seek(name: string, seconds: number): Promise<number>;
  embed(kind: 'audio' | 'video' | 'iframe', url: string): Promise<string>;
  cookies(): string;
};

/** A request as it went over the wire. */
export type Seen = {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly status: number;
  readonly contentRange: string | undefined;
};

/**
 * Writes down what the browser's network layer sends and gets: of answers that it keeps from the page (CORP, ORB, CORS) the
 * page and Playwright learn nothing.
 */
const watchNetwork = async (context: BrowserContext, page: Page) => {
  const session = await context.newCDPSession(page);
  const exchanges = new Map<string, Partial<Seen>>();
  const failed = new Set<string>();
  const about = (id: string, more: Partial<Seen>): void => {
    exchanges.set(id, { ...exchanges.get(id), ...more });
  };
  const lowerCase = (headers: object): Record<string, string> =>
    Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  session.on('Network.requestWillBeSent', ({ requestId, request: { method, url } }) =>
    about(requestId, { method, url }),
  );
  session.on('Network.requestWillBeSentExtraInfo', ({ requestId, headers }) =>
    about(requestId, { headers: lowerCase(headers) }),
  );
  session.on('Network.responseReceivedExtraInfo', ({ requestId, statusCode, headers }) =>
    about(requestId, { status: statusCode, contentRange: lowerCase(headers)['content-range'] }),
  );
  session.on('Network.loadingFailed', ({ requestId }) => failed.add(requestId));
  await session.send('Network.enable');
  const asked = (part: string) => [...exchanges].filter(([, { url }]) => url?.includes(part));
  // What failed without ever having headers was kept back by the browser itself; what was sent is answered.
  const settled = ([id, { headers, status }]: [string, Partial<Seen>]): boolean =>
    headers === undefined ? failed.has(id) : status !== undefined;
  return async (part: string): Promise<readonly Seen[]> => {
    await until(() => asked(part).every(settled));
    return asked(part).flatMap(([, one]) => (one.headers === undefined ? [] : [one as Seen]));
  };
};

/** A browser window of its own: cookies of nobody else. */
export const openContext = async (browser: Browser): Promise<BrowserContext> => {
  const context = await browser.newContext();
  await context.addInitScript({ path: join(import.meta.dirname, '../browser/page.js') });
  return context;
};

export type Tab = {
  readonly page: Page;
  /** Runs a function of test/browser/page.js in the page. */
  do<K extends keyof InPage>(
    name: K,
    ...args: Parameters<InPage[K]>
  ): Promise<Awaited<ReturnType<InPage[K]>>>;
  /** Everything asked of addresses that contain `part`, in order, once it has been answered. */
  seen(part: string): Promise<readonly Seen[]>;
};

const EMPTY_PAGE = '<!doctype html><title>empty</title>';

/**
 * An empty page of a vault, as if it had one. Only this one document is made up: what the page asks for afterwards goes to
 * the vault.
 */
export const openTab = async (context: BrowserContext, origin: string): Promise<Tab> => {
  const tab = await newTab(context);
  await tab.page.route(`${origin}/`, (route) =>
    route.fulfill({ contentType: 'text/html', body: EMPTY_PAGE }),
  );
  await tab.page.goto(`${origin}/`);
  await tab.page.unrouteAll();
  return tab;
};

/** A page that is there already. */
export const visit = async (context: BrowserContext, url: string): Promise<Tab> => {
  const tab = await newTab(context);
  await tab.page.goto(url);
  return tab;
};

export type Stranger = {
  /** An origin of another site than 127.0.0.1. */
  readonly elsewhere: string;
  /** An origin of the same site, on another port. */
  readonly nextDoor: string;
  close(): Promise<void>;
};

/**
 * A web server of somebody else with empty pages. A real one: a page whose document was made up counts as one from the
 * internet, and the browser itself would keep that from addresses of this machine.
 */
export const startStranger = async (): Promise<Stranger> => {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end(EMPTY_PAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    elsewhere: `http://localhost:${port}`,
    nextDoor: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};

const newTab = async (context: BrowserContext): Promise<Tab> => {
  const page = await context.newPage();
  return {
    page,
    seen: await watchNetwork(context, page),
    do: (name, ...args) =>
      page.evaluate(
        ([method, values]) =>
          (globalThis as unknown as { vault: Record<string, (...args: unknown[]) => never> }).vault[method]?.(
            ...values,
          ),
        [name, args] as const,
      ) as never,
  };
};
