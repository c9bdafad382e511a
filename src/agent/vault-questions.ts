import type { Answer } from './delivery.ts';
import type { VaultClient } from './vault-client.ts';

/** What the vault says of something that lies in it. `later`: asked again, it may say something else. */
export type Question<T> =
  | { readonly outcome: 'answered'; readonly answer: T }
  /** The vault has other bytes, damaged bytes, or none. */
  | { readonly outcome: 'denied'; readonly code: string }
  | { readonly outcome: 'later'; readonly code: string; readonly retryAfter: number | null };

const field = (body: unknown, name: string): unknown =>
  typeof body === 'object' && body !== null && Object.hasOwn(body, name)
    ? (body as Record<string, unknown>)[name]
    : undefined;

const codeOf = ({ status, body }: Answer): string => {
  const code = field(body, 'code');
  return typeof code === 'string' && /^[a-z_]{1,60}$/.test(code) ? code : `http_${status}`;
};

/** Answers about the thing itself; everything else is about the key, the line or the vault, and may pass. */
const ABOUT_IT: ReadonlySet<string> = new Set([
  'not_found',
  'erased',
  'integrity_failure',
  'invalid_request',
]);

const read = <T>(answer: Answer | null, understood: (body: unknown) => T | null): Question<T> => {
  if (answer === null) return { outcome: 'later', code: 'unreachable', retryAfter: null };
  const { status, retryAfter } = answer;
  const said = status === 200 || status === 201 ? understood(answer.body) : null;
  if (said !== null) return { outcome: 'answered', answer: said };
  const code = codeOf(answer);
  return ABOUT_IT.has(code) ? { outcome: 'denied', code } : { outcome: 'later', code, retryAfter };
};

export type Stored = { readonly sha256: string; readonly bytes: number };

/** Questions of a source to its vault about what it delivered. Each throws the signal's reason and nothing else. */
export const createVaultQuestions = (client: Pick<VaultClient, 'ask'>) => ({
  /** Has the vault read back what lies in its store. `denied` with `differs` when that is not what was sent. */
  async verify(id: string, expected: Stored, signal?: AbortSignal): Promise<Question<Stored>> {
    const answer = await client.ask('POST', `/v1/recordings/${id}/verification`, { signal });
    const question = read(answer, (body): Stored | null => {
      const [sha256, bytes] = [field(body, 'sha256'), field(body, 'bytes')];
      return field(body, 'id') === id && typeof sha256 === 'string' && typeof bytes === 'number'
        ? { sha256, bytes }
        : null;
    });
    if (question.outcome !== 'answered') return question;
    const { sha256, bytes } = question.answer;
    return sha256 === expected.sha256 && bytes === expected.bytes
      ? question
      : { outcome: 'denied', code: 'differs' };
  },

  /** Whether a recording is stored now: neither erased nor gone with a database that was put back. */
  async status(id: string, signal?: AbortSignal): Promise<Question<'stored'>> {
    const question = read(await client.ask('GET', `/v1/recordings/${id}/status`, { signal }), (body) =>
      field(body, 'id') === id ? String(field(body, 'status')) : null,
    );
    if (question.outcome !== 'answered') return question;
    return question.answer === 'stored'
      ? { outcome: 'answered', answer: 'stored' }
      : { outcome: 'denied', code: 'erased' };
  },

  /** Puts the digest and totals of a report into the access log; answers the entry's id and time. */
  async report(body: object, signal?: AbortSignal): Promise<Question<{ id: string; at: string }>> {
    return read(await client.ask('POST', '/v1/import-reports', { body, signal }), (said) => {
      const [id, at] = [field(said, 'id'), field(said, 'at')];
      return typeof id === 'string' && typeof at === 'string' ? { id, at } : null;
    });
  },
});

export type VaultQuestions = ReturnType<typeof createVaultQuestions>;
