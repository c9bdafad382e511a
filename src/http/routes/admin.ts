import type { FastifyPluginAsync } from 'fastify';
import type { IdentityServices } from '../../services/identity-services.ts';
import { forbidStoring } from '../caller.ts';
import { organisationRoutes } from './admin-organisations.ts';
import { policyRoutes } from './admin-policies.ts';
import { sourceRoutes } from './admin-sources.ts';
import { unitRoutes } from './admin-units.ts';
import { userRoutes } from './admin-users.ts';

export type AdminRouteOptions = {
  readonly services: Pick<
    IdentityServices,
    'organisations' | 'units' | 'users' | 'userAccess' | 'sources' | 'policies'
  >;
};

/** Who may do what: every change is in the access log first and counts from the next request of whoever it concerns. */
export const adminRoutes: FastifyPluginAsync<AdminRouteOptions> = async (app, options) => {
  forbidStoring(app);
  await app.register(organisationRoutes, { ...options, prefix: '/organisations' });
  await app.register(unitRoutes, { ...options, prefix: '/units' });
  await app.register(userRoutes, { ...options, prefix: '/users' });
  await app.register(sourceRoutes, { ...options, prefix: '/sources' });
  await app.register(policyRoutes, { ...options, prefix: '/policies' });
};
