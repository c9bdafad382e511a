import { createAssignmentTable } from '../storage/assignment-table.ts';
import { createCallTable } from '../storage/call-table.ts';
import type { Database } from '../storage/database.ts';
import { withDatabaseFaults } from '../storage/database-fault.ts';
import { createHoldTable } from '../storage/hold-table.ts';
import { createIntakeTable } from '../storage/intake-table.ts';
import { createOrganisationTable } from '../storage/organisation-table.ts';
import { createPendingChangeTable } from '../storage/pending-change-table.ts';
import { createPlaybackTable } from '../storage/playback-table.ts';
import { createRadarTable } from '../storage/radar-table.ts';
import { createRecordingFetchTable } from '../storage/recording-fetch-table.ts';
import { createRecordingTable } from '../storage/recording-table.ts';
import { createResumableUploadTable } from '../storage/resumable-upload-table.ts';
import { createSessionCheck } from '../storage/session-check.ts';
import { createSessionTable } from '../storage/session-table.ts';
import { createSourceTable } from '../storage/source-table.ts';
import { createTwilioTable } from '../storage/twilio-table.ts';
import { createUnitTable } from '../storage/unit-table.ts';
import { createUserTable } from '../storage/user-table.ts';
import { createWebhookMessageTable } from '../storage/webhook-message-table.ts';
import { createWebhookTable } from '../storage/webhook-table.ts';
import { createWrappedKeyTable } from '../storage/wrapped-key-table.ts';

export const tablesOf = ({ prisma, keyed: pool, pool: planned }: Database) => ({
  recordings: withDatabaseFaults(createRecordingTable({ prisma, pool })),
  uploads: withDatabaseFaults(createResumableUploadTable(pool)),
  playbacks: withDatabaseFaults(createPlaybackTable({ prisma, pool })),
  holds: withDatabaseFaults(createHoldTable(prisma)),
  assignments: withDatabaseFaults(createAssignmentTable(prisma)),
  intake: withDatabaseFaults(createIntakeTable({ prisma, pool })),
  pendingChanges: withDatabaseFaults(createPendingChangeTable(prisma)),
  sessions: withDatabaseFaults(createSessionTable(prisma)),
  sessionCheck: withDatabaseFaults(createSessionCheck(pool)),
  users: withDatabaseFaults(createUserTable(prisma)),
  units: withDatabaseFaults(createUnitTable(prisma)),
  sources: withDatabaseFaults(createSourceTable(prisma)),
  organisations: withDatabaseFaults(createOrganisationTable(prisma)),
  wrappedKeys: withDatabaseFaults(createWrappedKeyTable(prisma)),
  calls: withDatabaseFaults(createCallTable(planned)),
  radar: withDatabaseFaults(createRadarTable(planned)),
  webhooks: withDatabaseFaults(createWebhookTable(prisma)),
  twilio: withDatabaseFaults(createTwilioTable(prisma)),
  fetches: withDatabaseFaults(createRecordingFetchTable(planned)),
  messages: withDatabaseFaults(createWebhookMessageTable(planned)),
});

export type Tables = ReturnType<typeof tablesOf>;
