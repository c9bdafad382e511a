import type { FastifyInstance } from 'fastify';
import { AppError } from '../core/errors.ts';

type Address = { readonly segments: readonly string[]; readonly methods: Set<string> };

const isParameter = (segment: string): boolean => segment.startsWith(':');

const fits = (address: Address, segments: readonly string[]): boolean =>
  address.segments.length === segments.length &&
  address.segments.every((own, i) => (isParameter(own) ? segments[i] !== '' : own === segments[i]));

/** Addresses without parameters are meant before those with: `/recordings/search` is no `/recordings/:id`. */
const parameters = ({ segments }: Address): number => segments.filter(isParameter).length;

/**
 * Remembers every route that is registered from here on. The returned function throws `method_not_allowed` for a request of
 * an address that is known under other methods only. The address is attacker-controlled; nothing of it is repeated.
 */
export const rememberAddresses = (app: FastifyInstance): ((method: string, url: string) => void) => {
  const addresses = new Map<string, Address>();
  app.addHook('onRoute', ({ method, url }) => {
    const address = addresses.get(url) ?? { segments: url.split('/'), methods: new Set<string>() };
    for (const one of [method].flat()) address.methods.add(one);
    addresses.set(url, address);
  });
  return (method, url) => {
    const segments = url.split('?', 1)[0]!.split('/');
    const [meant] = [...addresses.values()]
      .filter((address) => fits(address, segments))
      .sort((a, b) => parameters(a) - parameters(b));
    if (meant === undefined || meant.methods.has(method)) return;
    const allow = [...meant.methods].sort();
    throw new AppError('method_not_allowed', `This address knows ${allow.join(' and ')} only.`, { allow });
  };
};
