import { Type } from 'typebox';
import { roles } from '../../core/events.ts';
import { MAX_PASSWORD } from '../../core/password-rules.ts';
import { Closed, Nullable, ProblemSchema, Uuid } from './common.ts';

export const Email = Type.String({
  minLength: 3,
  maxLength: 254,
  description: 'compared without regard to case',
});
const Password = Type.String({ minLength: 1, maxLength: MAX_PASSWORD });
export const Name = Type.String({ minLength: 1, maxLength: 200 });
const Named = Closed({ id: Uuid, name: Name });
export const RoleSchema = Type.Enum([...roles]);

export const LoginBody = Closed({ email: Email, password: Password });
export const PasswordBody = Closed({ currentPassword: Password, newPassword: Password });

export const ActorSchema = Closed({
  id: Uuid,
  type: Type.Enum(['user', 'source']),
  role: RoleSchema,
  name: Name,
  email: Nullable(Email),
  organisation: Nullable(Named),
  units: Type.Array(Named, { description: 'care units whose recordings the actor may hear' }),
  passwordChangeRequired: Type.Boolean({
    description:
      'somebody else made this password: until another is chosen (POST /v1/auth/password), everything else is answered 403 password_change_required',
  }),
});

const AccessToken = Type.String({
  maxLength: 2048,
  description: 'for `Authorization: Bearer`; a JWT (EdDSA, at+jwt)',
});
const ExpiresIn = Type.Integer({ minimum: 0, description: 'seconds' });

export const TokenSchema = Closed({ accessToken: AccessToken, expiresIn: ExpiresIn });
export const LoginSchema = Closed({ accessToken: AccessToken, expiresIn: ExpiresIn, user: ActorSchema });

/** RFC 6749 §4.4.2. Unknown parameters must be ignored (§3.2), hence not closed; a scope asks for nothing more. */
export const ClientCredentialsBody = Type.Object({
  grant_type: Type.Optional(Type.String({ maxLength: 100 })),
  client_id: Type.Optional(Type.String({ maxLength: 200 })),
  client_secret: Type.Optional(Type.String({ maxLength: 200 })),
  scope: Type.Optional(Type.String({ maxLength: 1000 })),
});

export const ClientTokenSchema = Closed({
  access_token: AccessToken,
  token_type: Type.Literal('Bearer'),
  expires_in: ExpiresIn,
});

/** What OAuth clients read (RFC 6749 §5.2) and what every other client of this interface reads, in one. */
export const OAuthProblemSchema = Closed({
  error: Type.Enum(['invalid_request', 'invalid_client', 'unsupported_grant_type']),
  error_description: Type.String({ maxLength: 2000 }),
  ...ProblemSchema.properties,
});

export const JwksSchema = Closed({
  keys: Type.Array(
    Closed({
      kty: Type.Literal('OKP'),
      crv: Type.Literal('Ed25519'),
      x: Type.String({ maxLength: 43 }),
      kid: Type.String({ maxLength: 64 }),
      alg: Type.Literal('EdDSA'),
      use: Type.Literal('sig'),
    }),
  ),
});
