import { Type } from 'typebox';
import { roles } from '../../core/events.ts';
import { legalBases } from '../../core/metadata.ts';
import { retentionClasses, retentionRules } from '../../core/retention.ts';
import { Email, Name, RoleSchema } from './auth.ts';
import { Closed, Cursor, Instant, Nullable, Uuid } from './common.ts';
import { TwilioSchema } from './twilio.ts';

const humanRoles = roles.filter((role) => role !== 'source');

/** Values of a query are text; the pattern keeps the limit from 1 to 200. */
export const ListQuerySchema = Closed({
  limit: Type.Optional(
    Type.String({
      pattern: '^([1-9]|[1-9][0-9]|1[0-9]{2}|200)$',
      maxLength: 3,
      description: '1 to 200, 50 if absent',
    }),
  ),
  cursor: Type.Optional(Cursor),
});

const pageOf = <S extends ReturnType<typeof Closed>>(item: S) =>
  Closed({ items: Type.Array(item), next: Nullable(Cursor) });

const made = { createdAt: Instant, disabledAt: Nullable(Instant) };

/** Shown once; only a hash is kept. */
const Secret = Type.String({ maxLength: 200, description: 'shown this once; only its hash is kept' });

export const UserSchema = Closed({
  id: Uuid,
  organisation: Nullable(Uuid),
  role: RoleSchema,
  email: Email,
  displayName: Name,
  units: Type.Array(Uuid),
  ...made,
});
export const UserPage = pageOf(UserSchema);
export const UserWithPasswordSchema = Closed({ user: UserSchema, initialPassword: Secret });
const Units = Type.Array(Uuid, {
  maxItems: 200,
  uniqueItems: true,
  description: 'care units; for nurses only',
});
export const NewUserBody = Closed({
  email: Email,
  displayName: Name,
  role: Type.Enum(humanRoles),
  units: Type.Optional(Units),
});
export const UserChangeBody = Closed({
  email: Type.Optional(Email),
  displayName: Type.Optional(Name),
  units: Type.Optional(Units),
});

export const UnitSchema = Closed({ id: Uuid, name: Name, ...made });
export const UnitPage = pageOf(UnitSchema);
export const NameBody = Closed({ name: Name });

const DEFAULT_UNIT =
  'whose the recordings are that name no careUnit; without one, or while it is disabled, they are stored with the flag no_care_unit and no nurse can hear them';

const settings = {
  name: Name,
  defaultUnit: { ...Nullable(Uuid), description: DEFAULT_UNIT },
  announcement: Type.String({ minLength: 1, maxLength: 200, description: 'which announcement callers hear' }),
  retentionClass: Type.Enum([...retentionClasses]),
  legalBasis: Type.Enum([...legalBases]),
  signingKey: {
    ...Nullable(Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' })),
    description:
      'Ed25519 public key (32 bytes, base64url) of a source that seals its recordings itself: then nothing is taken from it but what that key has signed',
  },
};
export const SourceSchema = Closed({
  id: Uuid,
  clientId: Type.String({ maxLength: 200 }),
  ...settings,
  retentionClass: Type.String({ maxLength: 40 }),
  legalBasis: Type.String({ maxLength: 40 }),
  twilio: Nullable(TwilioSchema),
  ...made,
});
export const SourcePage = pageOf(SourceSchema);
export const SourceWithSecretsSchema = Closed({ source: SourceSchema, clientSecret: Secret, apiKey: Secret });
export const NewSourceBody = Closed({
  ...settings,
  defaultUnit: Type.Optional(settings.defaultUnit),
  announcement: Type.Optional(settings.announcement),
  signingKey: Type.Optional(settings.signingKey),
});
export const SourceChangeBody = Closed({
  name: Type.Optional(settings.name),
  defaultUnit: Type.Optional(settings.defaultUnit),
  announcement: Type.Optional(settings.announcement),
  retentionClass: Type.Optional(settings.retentionClass),
  legalBasis: Type.Optional(settings.legalBasis),
  signingKey: Type.Optional(settings.signingKey),
});

export const OrganisationSchema = Closed({ id: Uuid, name: Name, ...made });
export const OrganisationPage = pageOf(OrganisationSchema);
export const NewOrganisationBody = Closed({
  name: Name,
  admin: Closed({ email: Email, displayName: Name }),
});
export const NewOrganisationSchema = Closed({
  organisation: OrganisationSchema,
  admin: Closed({ id: Uuid, initialPassword: Secret }),
});

const days = (name: (typeof retentionClasses)[number]) => {
  const { floor, ceiling } = retentionRules[name];
  return Type.Integer({ minimum: floor, maximum: ceiling, description: 'days' });
};
const retention = { journal: days('journal'), quality: days('quality'), complaint: days('complaint') };
export const PoliciesSchema = Closed({ retention: Closed(retention) });
export const PoliciesChangeBody = Closed({
  retention: Closed({
    journal: Type.Optional(retention.journal),
    quality: Type.Optional(retention.quality),
    complaint: Type.Optional(retention.complaint),
  }),
});
