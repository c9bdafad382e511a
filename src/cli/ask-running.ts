import { request as ask } from 'node:http';
import { request as askTls } from 'node:https';
import type { Examination } from '../services/examine-vault.ts';

/** Longer than anything that a vault which works has to wait for. */
const PATIENCE_MS = 20_000;
const READY_MS = 4_000;
/** Far more than there can be to tell. */
const MAX_ANSWER = 1_000_000;

/** What the running vault says of itself, through its socket; null when it does not answer in time. */
export const askExamination = (socketPath: string): Promise<Examination | null> =>
  new Promise((resolve) => {
    const asked = ask({ socketPath, path: '/', timeout: PATIENCE_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        if (text.length > MAX_ANSWER) asked.destroy();
      });
      response.on('error', () => resolve(null));
      response.on('end', () => {
        try {
          resolve(response.statusCode === 200 ? (JSON.parse(text) as Examination) : null);
        } catch {
          resolve(null);
        }
      });
    });
    asked.on('error', () => resolve(null));
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.end();
  });

/** Status of `/readyz`; null when nobody answers there. Nothing is sent, and nothing but the status is read. */
export const askReady = (url: URL): Promise<number | null> =>
  new Promise((resolve) => {
    // The certificate may be for another name.
    const options = { path: '/readyz', timeout: READY_MS, rejectUnauthorized: false };
    const heard = { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port, ...options };
    const asked = (url.protocol === 'https:' ? askTls : ask)(heard, (response) =>
      resolve(response.resume().statusCode ?? null),
    );
    asked.on('error', () => resolve(null));
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.end();
  });
