import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { Static } from 'typebox';
import type { IdentityServices } from '../../services/identity-services.ts';
import { idOf, timesOf } from '../admin-request.ts';
import { type Kind, listRoute, switchRoutes } from '../admin-routes.ts';
import { callerOf } from '../caller.ts';
import {
  NewUserBody,
  UserChangeBody,
  UserPage,
  UserSchema,
  UserWithPasswordSchema,
} from '../schemas/admin.ts';
import { IdParams, problems } from '../schemas/common.ts';

type Options = { readonly services: Pick<IdentityServices, 'users' | 'userAccess'> };
type UserRow = Awaited<ReturnType<IdentityServices['users']['change']>>;

const config = { access: { action: 'user.manage' } } as const;
const tags = ['admin'];

const shown = (user: UserRow): Static<typeof UserSchema> => ({
  id: user.id,
  organisation: user.organisationId,
  role: user.role,
  email: user.email,
  displayName: user.displayName,
  units: [...user.units],
  ...timesOf(user),
});

const kind: Kind<UserRow> = { config, shown };

const collection = (app: FastifyInstance, { services }: Options): void => {
  app.post(
    '',
    {
      config,
      schema: {
        tags,
        operationId: 'createUser',
        summary: 'Make an account; its initial password is shown once',
        description: 'The role is fixed for ever and never above your own.',
        body: NewUserBody,
        response: { 201: UserWithPasswordSchema, ...problems(409, 415) },
      },
    },
    async (request, reply) => {
      const asked = request.body as Static<typeof NewUserBody>;
      const { user, initialPassword } = await services.users.create(callerOf(request), asked);
      return reply.code(201).send({ user: shown(user), initialPassword });
    },
  );
  listRoute(
    app,
    kind,
    { operationId: 'listUsers', summary: 'Users of your organisation, oldest first' },
    UserPage,
    services.users.list,
  );
};

const account = (app: FastifyInstance, { services }: Options): void => {
  app.patch(
    '/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'changeUser',
        summary: 'Change name, e-mail address or care units; `units` is the whole list',
        params: IdParams,
        body: UserChangeBody,
        response: { 200: UserSchema, ...problems(404, 409, 415) },
      },
    },
    async (request) => {
      const asked = request.body as Static<typeof UserChangeBody>;
      return shown(await services.users.change(callerOf(request), idOf(request), asked));
    },
  );
  app.post(
    '/:id/reset-password',
    {
      config,
      schema: {
        tags,
        operationId: 'resetPassword',
        summary: 'A new initial password, shown once; every session of the user ends',
        params: IdParams,
        response: { 200: UserWithPasswordSchema, ...problems(404, 409) },
      },
    },
    async (request) => {
      const { user, initialPassword } = await services.userAccess.resetPassword(
        callerOf(request),
        idOf(request),
      );
      return { user: shown(user), initialPassword };
    },
  );
};

const access = (app: FastifyInstance, { services }: Options): void =>
  switchRoutes(
    app,
    kind,
    {
      disable: {
        operationId: 'disableUser',
        summary: 'Shut a user out from the next request on; 409 for the last administrator',
        statuses: [409],
      },
      enable: { operationId: 'enableUser', summary: 'Let a disabled user sign in again' },
    },
    UserSchema,
    (caller, id, disabled) =>
      disabled ? services.userAccess.disable(caller, id) : services.userAccess.enable(caller, id),
  );

/** People of one's own organisation, or of the installation for its own administrators. */
export const userRoutes: FastifyPluginAsync<Options> = async (app, options) => {
  collection(app, options);
  account(app, options);
  access(app, options);
};
