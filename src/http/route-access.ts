import type { Action, ActorContext } from '../core/access.ts';
import type { Credential } from '../services/authenticate.ts';
import type { Format } from './answer-format.ts';

/**
 * What a route demands before a byte of its body is read. `public`: nothing.
 * `credential` says what is accepted as proof of identity:
 * - `bearer` (default): an access token or a source's API key in `Authorization`;
 * - `cookie`: the web session's cookie, or a bearer token;
 * - `basic`: as `bearer`, or a source's API key as the password of Basic (RFC 7617), for programs that are told an address and
 *   nothing else;
 * - `piece`: as `cookie`, but the session is looked up by the service in the same statement as the playback.
 * - `signature`: none; the route has the signature verified, which is over the body, before it looks at anything else of it.
 * `file` is what an answer as a file (`offers`) demands beside `action`.
 */
export type RouteAccess =
  | 'public'
  | {
      readonly action: Action;
      readonly credential?: 'bearer' | 'cookie' | 'basic' | 'piece' | 'signature';
      readonly file?: { readonly action: Action; readonly offers: readonly Format[] };
    };

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: RouteAccess;
    /** A body that may take as long as a long call on a slow line; the route itself watches for one that stalls. */
    longBody?: true;
    /** Asked by load balancers: neither limited nor counted as requests of an address. */
    unlimited?: true;
    /** Body and headers that the route reads by itself: described in /openapi.json, validated by nobody else. */
    described?: { readonly body: object; readonly headers?: object };
  }
  interface FastifyRequest {
    /** Set by the access plugin on every route that is not public and not of credential `piece` or `signature`. */
    actor: ActorContext | null;
    credential: Credential | null;
    /** The form of the answer, on routes that offer files. */
    answerFormat: Format;
  }
}
