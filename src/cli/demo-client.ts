import { randomBytes } from 'node:crypto';
import { AppError } from '../core/errors.ts';

const newPassword = (): string => randomBytes(16).toString('base64url');

export type Answer<T> = { readonly status: number; readonly body: T };

/** The vault's API as a stranger uses it: fetch, JSON, bearer tokens. */
export const createDemoClient = (url: string) => {
  const send = async <T>(
    method: string,
    path: string,
    { token, body, headers }: { token?: string; body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Answer<T>> => {
    const raw = body instanceof FormData;
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined || raw ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? null : JSON.parse(text)) as T };
  };

  /** As `send`, but any other status than the expected one ends the demo with the vault's own words. */
  const expect = async <T>(
    status: number,
    method: string,
    path: string,
    options: { token?: string; body?: unknown } = {},
  ): Promise<T> => {
    const answer = await send<T & { detail?: string }>(method, path, options);
    if (answer.status !== status)
      throw new AppError(
        'internal',
        `${method} ${path} answered ${answer.status}: ${answer.body?.detail ?? ''}`,
      );
    return answer.body;
  };

  return {
    send,
    expect,
    async signIn(email: string, password: string): Promise<string> {
      const { accessToken } = await expect<{ accessToken: string }>(200, 'POST', '/v1/auth/login', {
        body: { email, password },
      });
      return accessToken;
    },
    /** Chooses a password in the place of the initial one, as every person must first of all. */
    async choosePassword(email: string, initial: string): Promise<string> {
      const token = await this.signIn(email, initial);
      const chosen = newPassword();
      await expect(204, 'POST', '/v1/auth/password', {
        token,
        body: { currentPassword: initial, newPassword: chosen },
      });
      await expect(204, 'POST', '/v1/auth/logout', { token });
      return chosen;
    },
    /** Bytes of a range, as a player asks for them. */
    async range(
      path: string,
      token: string,
      range: string,
    ): Promise<{ status: number; bytes: number; contentRange: string | null }> {
      const response = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}`, range } });
      const bytes = (await response.arrayBuffer()).byteLength;
      return { status: response.status, bytes, contentRange: response.headers.get('content-range') };
    },
  };
};

export type DemoClient = ReturnType<typeof createDemoClient>;
