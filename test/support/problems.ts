import { STATUS_CODES } from 'node:http';
import { expect } from 'vitest';
import type { Reply } from './http-client.ts';

export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly requestId: string;
  readonly faults?: readonly { readonly where: string; readonly fault: string }[];
};

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
/** A place in a program, a library's error code, a statement: nothing that a stranger is told. */
const INSIDES = [
  /\n\s+at |\.ts:\d|node_modules|node:internal|\/src\/|prisma|postgres|select .* from/i,
  /FST_|HPE_|ERR_|\bE[A-Z]{4,}\b/,
];

/**
 * The answer is an RFC 9457 problem of this status and code, complete, in a sentence for a person, and shows nothing of the
 * inside. Returns it for a closer look.
 */
export const expectProblem = (reply: Reply, status: number, code: string): Problem => {
  expect({ status: reply.status, body: reply.text }).toEqual({ status, body: expect.stringContaining(code) });
  expect(reply.headers['content-type']).toBe('application/problem+json');
  const problem = JSON.parse(reply.text) as Problem;
  expect(problem).toMatchObject({
    type: `urn:callvault:problem:${code}`,
    title: STATUS_CODES[status],
    status,
    code,
    requestId: expect.stringMatching(UUID),
  });
  const members = ['type', 'title', 'status', 'detail', 'code', 'requestId', 'faults'];
  expect(Object.keys(problem).filter((member) => !members.includes(member))).toEqual([]);
  expect(problem.detail).toMatch(/^[A-Z0-9][^\n]{10,300}[.)]$/);
  for (const inside of INSIDES) expect(reply.text).not.toMatch(inside);
  return problem;
};
