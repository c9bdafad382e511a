import { defineConfig } from 'prisma/config';

/** For Prisma's own command line. The service migrates with src/storage/migrate.ts and keeps the same history. */
export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
});
