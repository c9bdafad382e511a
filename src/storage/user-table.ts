import type { UserActor } from '../core/access.ts';
import { afterPosition, oldestFirst, type PageRequest } from './keyset-page.ts';
import { Prisma, type PrismaClient } from './prisma/client.ts';

export type UserRole = UserActor['role'];

export type NewUser = {
  readonly id: string;
  readonly organisationId: string | null;
  readonly role: UserRole;
  readonly email: string;
  readonly displayName: string;
  readonly passwordHash: string;
  readonly units: readonly string[];
  readonly at: Date;
};

/** A user as others may see one: without the password's hash. */
export type UserRow = {
  readonly id: string;
  readonly organisationId: string | null;
  readonly role: UserRole;
  readonly email: string;
  readonly displayName: string;
  readonly units: readonly string[];
  readonly createdAt: Date;
  readonly disabledAt: Date | null;
};

export type UserChange = {
  readonly email?: string;
  readonly displayName?: string;
  /** Care units. */
  readonly add: readonly string[];
  readonly remove: readonly string[];
};

export type SignInUser = {
  readonly id: string;
  readonly organisationId: string | null;
  readonly role: UserRole;
  readonly displayName: string;
  readonly email: string;
  readonly passwordHash: string;
  /** Somebody else knows the password too. */
  readonly passwordInitial: boolean;
  /** Neither the user nor the organisation is disabled. */
  readonly enabled: boolean;
};

const visible = {
  id: true,
  organisationId: true,
  role: true,
  email: true,
  displayName: true,
  createdAt: true,
  disabledAt: true,
  memberships: { select: { unitId: true }, orderBy: { unitId: 'asc' } },
} as const satisfies Prisma.UserSelect;

const rowOf = ({ memberships, ...user }: Prisma.UserGetPayload<{ select: typeof visible }>): UserRow => ({
  ...user,
  role: user.role as UserRole,
  units: memberships.map(({ unitId }) => unitId),
});

const addMemberships = async (
  tx: Prisma.TransactionClient,
  userId: string,
  units: readonly string[],
): Promise<void> => {
  await tx.membership.createMany({ data: units.map((unitId) => ({ userId, unitId })), skipDuplicates: true });
};

/** Insertion that a repetition after a crash leaves as it is; another user with the same e-mail address is a fault. */
export const insertUser = async (tx: Prisma.TransactionClient, user: NewUser): Promise<void> => {
  await tx.$executeRaw`
    INSERT INTO app_user (id, organisation_id, role, email, display_name, password_hash, created_at)
    VALUES (${user.id}::uuid, ${user.organisationId}::uuid, ${user.role}, ${user.email}, ${user.displayName},
            ${user.passwordHash}, ${user.at})
    ON CONFLICT (id) DO NOTHING`;
  await addMemberships(tx, user.id, user.units);
};

const colleagues = (user: { organisationId: string | null; role: string }): Prisma.Sql =>
  user.organisationId === null
    ? Prisma.sql`organisation_id IS NULL AND role = ${user.role}`
    : Prisma.sql`organisation_id = ${user.organisationId}::uuid AND role = ${user.role}`;

const ADMINISTRATORS: readonly string[] = ['admin', 'installation_admin'];

/** People who sign in. E-mail addresses come in canonical form (core/names.ts). */
export const createUserTable = (prisma: PrismaClient) => ({
  /** Idempotent by id. */
  async insert(user: NewUser): Promise<void> {
    await prisma.$transaction((tx) => insertUser(tx, user));
  },

  /**
   * Whether an account other than `id` has this address, or is about to get it: of two changes that ask for one address
   * at once, each finds the other announced.
   */
  async emailTaken(email: string, id: string): Promise<boolean> {
    const rows = await prisma.$queryRaw<{ taken: boolean }[]>`
      SELECT EXISTS (SELECT FROM app_user WHERE email = ${email} AND id <> ${id}::uuid)
          OR EXISTS (SELECT FROM pending_change WHERE payload->>'email' = ${email} AND payload->>'userId' <> ${id})
          AS taken`;
    return rows[0]?.taken !== false;
  },

  /** One statement whether there is such a user or not, so that time does not tell. `email` is attacker-controlled. */
  async findForSignIn(email: string): Promise<SignInUser | null> {
    const rows = await prisma.$queryRaw<SignInUser[]>`
      SELECT u.id::text, u.organisation_id::text AS "organisationId", u.role, u.display_name AS "displayName", u.email,
             u.password_hash AS "passwordHash", u.password_initial AS "passwordInitial", u.disabled_at IS NULL AND o.disabled_at IS NULL AS enabled
        FROM app_user u LEFT JOIN organisation o ON o.id = u.organisation_id
       WHERE u.email = ${email}`;
    return rows[0] ?? null;
  },

  /** With the password's hash, for checking the old password before a change. */
  async passwordHash(id: string): Promise<string | null> {
    const row = await prisma.user.findUnique({ where: { id }, select: { passwordHash: true } });
    return row?.passwordHash ?? null;
  },

  /** Whether there is any account at all. */
  async any(): Promise<boolean> {
    return (await prisma.user.findFirst({ select: { id: true } })) !== null;
  },

  async find(id: string): Promise<UserRow | null> {
    const row = await prisma.user.findUnique({ where: { id }, select: visible });
    return row === null ? null : rowOf(row);
  },

  /** Users of one organisation, or of the installation itself. */
  async list(organisationId: string | null, { after, limit }: PageRequest): Promise<UserRow[]> {
    const rows = await prisma.user.findMany({
      where: { organisationId, ...afterPosition(after) },
      select: visible,
      orderBy: oldestFirst,
      take: limit,
    });
    return rows.map(rowOf);
  },

  /** Idempotent: adds and takes away exactly the named units. */
  async change(id: string, { email, displayName, add, remove }: UserChange): Promise<void> {
    const columns = {
      ...(email === undefined ? {} : { email }),
      ...(displayName === undefined ? {} : { displayName }),
    };
    await prisma.$transaction(async (tx) => {
      if (Object.keys(columns).length > 0) await tx.user.updateMany({ where: { id }, data: columns });
      await tx.membership.deleteMany({ where: { userId: id, unitId: { in: [...remove] } } });
      await addMemberships(tx, id, add);
    });
  },

  /** `initial`: somebody else knows it. New accounts begin with such a one. */
  async setPassword(id: string, passwordHash: string, { initial }: { initial: boolean }): Promise<void> {
    await prisma.user.updateMany({ where: { id }, data: { passwordHash, passwordInitial: initial } });
  },

  /** The same password under today's cost. False when it has been changed meanwhile. */
  async renewHash(id: string, from: string, to: string): Promise<boolean> {
    const { count } = await prisma.user.updateMany({
      where: { id, passwordHash: from },
      data: { passwordHash: to },
    });
    return count === 1;
  },

  /**
   * Disables, unless no other administrator of the same kind would be left. Administrators are locked in one order, so
   * that two who disable each other at once cannot both succeed.
   */
  async disableUnlessLast(id: string, at: Date): Promise<'disabled' | 'last'> {
    return prisma.$transaction(async (tx) => {
      const user = await tx.user.findUniqueOrThrow({
        where: { id },
        select: { organisationId: true, role: true },
      });
      if (ADMINISTRATORS.includes(user.role)) {
        const enabled = await tx.$queryRaw<{ id: string }[]>`
          SELECT id::text FROM app_user WHERE ${colleagues(user)} AND disabled_at IS NULL ORDER BY id FOR UPDATE`;
        if (!enabled.some((colleague) => colleague.id !== id)) return 'last';
      }
      await tx.user.updateMany({ where: { id, disabledAt: null }, data: { disabledAt: at } });
      return 'disabled';
    });
  },

  /** Idempotent; keeps the first time. */
  async disable(id: string, at: Date): Promise<void> {
    await prisma.user.updateMany({ where: { id, disabledAt: null }, data: { disabledAt: at } });
  },

  /** `since`: only if it was this change that disabled the user. */
  async enable(id: string, since?: Date): Promise<void> {
    await prisma.user.updateMany({
      where: { id, ...(since === undefined ? {} : { disabledAt: since }) },
      data: { disabledAt: null },
    });
  },
});

export type UserTable = ReturnType<typeof createUserTable>;
