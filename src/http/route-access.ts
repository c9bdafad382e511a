import type { Action, ActorContext } from '../core/access.ts';
import type { Credential } from '../services/authenticate.ts';

/**
 * What a route demands before a byte of its body is read. `public`: nothing.
 * `credential` says what is accepted as proof of identity:
 * - `bearer` (default): an access token or a source's API key in `Authorization`;
 * - `cookie`: the web session's cookie, or a bearer token;
 * - `piece`: either, but the session is looked up by the service in the same statement as the playback.
 */
export type RouteAccess =
  | 'public'
  | { readonly action: Action; readonly credential?: 'bearer' | 'cookie' | 'piece' };

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: RouteAccess;
    /** A body that may take as long as a long call on a slow line; the route itself watches for one that stalls. */
    longBody?: true;
    /** Body and headers that the route reads by itself: described in /openapi.json, validated by nobody else. */
    described?: { readonly body: object; readonly headers?: object };
  }
  interface FastifyRequest {
    /** Set by the access plugin on every route that is not public and not of credential `piece`. */
    actor: ActorContext | null;
    credential: Credential | null;
  }
}
