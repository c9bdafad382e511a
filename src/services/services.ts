import { randomBytes, randomUUID } from 'node:crypto';
import type { LogEvidence } from '../audit/log-evidence.ts';
import type { AuditReader } from '../audit/reader.ts';
import type { AuditWriter } from '../audit/writer.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import type { Passwords } from '../crypto/passwords.ts';
import type { ProviderCallbacks, ProviderTokens } from '../crypto/provider-tokens.ts';
import type { UploadSealing } from '../crypto/upload-sealing.ts';
import type { WebhookSecrets } from '../crypto/webhook-secrets.ts';
import type { AssignmentTable } from '../storage/assignment-table.ts';
import type { writeBundleFile } from '../storage/bundle-file.ts';
import type { CallTable } from '../storage/call-table.ts';
import type { HoldTable } from '../storage/hold-table.ts';
import type { IntakeTable } from '../storage/intake-table.ts';
import type {
  bundleKeyOf,
  bundleKeyParts,
  envelopeKeyOf,
  objectKeyOf,
  partKeyOf,
} from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { PendingChangeTable } from '../storage/pending-change-table.ts';
import type { PlaybackTable } from '../storage/playback-table.ts';
import type { RadarTable } from '../storage/radar-table.ts';
import type { RecordingFetchTable } from '../storage/recording-fetch-table.ts';
import type { RecordingTable } from '../storage/recording-table.ts';
import type { ResumableUploadTable } from '../storage/resumable-upload-table.ts';
import type { TwilioTable } from '../storage/twilio-table.ts';
import type { WebhookMessageTable } from '../storage/webhook-message-table.ts';
import type { WebhookTable } from '../storage/webhook-table.ts';
import type { WrappedKeyTable } from '../storage/wrapped-key-table.ts';
import { createAdministerWebhooks, createWebhookEffects } from './administer-webhooks.ts';
import { createAnnounceCalls } from './announce-calls.ts';
import { createAskLog } from './ask-log.ts';
import { createAssignEffect, createAssignRecording } from './assign-recording.ts';
import { createAuditedChanges } from './audited-change.ts';
import { createAuthenticate } from './authenticate.ts';
import { createAuthorisePiece } from './authorise-piece.ts';
import { createAuthority } from './authority.ts';
import { createCheckImport } from './check-import.ts';
import { createDeliverWebhooks, type PostMessage } from './deliver-webhooks.ts';
import { createEraseEffect, createEraseRecording } from './erase-recording.ts';
import { createExportEvidence } from './export-evidence.ts';
import { createExportKeys } from './export-keys.ts';
import { createExportLog } from './export-log.ts';
import type { GivenUp } from './fetch-attempt.ts';
import { createHoldEffects, createHoldRecording } from './hold-recording.ts';
import { createIdentityEffects, type IdentityTables } from './identity-effects.ts';
import { createIdentityServices } from './identity-services.ts';
import { createIngestRecording } from './ingest-recording.ts';
import { createIntakeRules } from './intake-rules.ts';
import { createLogQuestion, createRecordReading } from './log-question.ts';
import { createOpenKey } from './open-key.ts';
import { createOpenPlayback } from './open-playback.ts';
import { createOpenSealedUpload } from './open-sealed-upload.ts';
import { createProveLog } from './prove-log.ts';
import { createProviderAccounts } from './provider-account.ts';
import type { AskProvider } from './provider-media.ts';
import { createReadCheckpoint } from './read-checkpoint.ts';
import { createReadLog } from './read-log.ts';
import { createReadRadar, createWatchCalls } from './read-radar.ts';
import { createReadVerified } from './read-verified.ts';
import type { Readiness } from './readiness.ts';
import { createRecordDenial, type RecordDenial } from './record-denial.ts';
import { createRecordUploadRefusal } from './record-upload-refusal.ts';
import { createRecordVerification } from './record-verification.ts';
import { indexFacts } from './recording-facts.ts';
import { createRecordingFetches } from './recording-fetches.ts';
import { createRemoveOrphans } from './remove-orphans.ts';
import { createReportDamage, type ReportDamage } from './report-damage.ts';
import { createReportHeard } from './report-heard.ts';
import { createReportImport } from './report-import.ts';
import { createResumableUploads } from './resumable-uploads.ts';
import { createSealUpload } from './seal-upload.ts';
import { createSearchRecordings } from './search-recordings.ts';
import { createSecondDelivery } from './second-delivery.ts';
import type { SessionLifetimes } from './session-limits.ts';
import { createSettleIntent } from './settle-intent.ts';
import { createStoredFlags } from './stored-flags.ts';
import { createStreamPlayback } from './stream-playback.ts';
import { createSweep } from './sweep.ts';
import { createTakeCallback } from './take-callback.ts';
import { createTwilioEffects, createTwilioSettings } from './twilio-settings.ts';
import { createUploadIntents } from './upload-intent.ts';
import { createVerifyCallback } from './verify-callback.ts';
import { createVerifyRecording } from './verify-recording.ts';
import { createUploadStatus, createViewRecording } from './view-recording.ts';

export type ServiceDeps = {
  readonly audit: AuditWriter;
  readonly log: AuditReader;
  readonly evidence: LogEvidence;
  /** Signs what the log has now, unless that is done already. */
  readonly checkpointNow: () => Promise<void>;
  readonly keyRing: KeyRing;
  readonly fields: FieldEncryption;
  readonly uploadSealing: UploadSealing;
  readonly passwords: Passwords;
  readonly objects: ObjectStore;
  readonly objectKeyOf: typeof objectKeyOf;
  readonly envelopeKeyOf: typeof envelopeKeyOf;
  readonly partKeyOf: typeof partKeyOf;
  readonly bundleKeyOf: typeof bundleKeyOf;
  readonly bundleKeyParts: typeof bundleKeyParts;
  readonly writeBundleFile: typeof writeBundleFile;
  readonly installationId: string;
  readonly tables: IdentityTables & {
    readonly recordings: RecordingTable;
    readonly uploads: ResumableUploadTable;
    readonly playbacks: PlaybackTable;
    readonly holds: HoldTable;
    readonly assignments: AssignmentTable;
    readonly intake: IntakeTable;
    readonly pendingChanges: PendingChangeTable;
    readonly wrappedKeys: WrappedKeyTable;
    readonly calls: CallTable;
    readonly radar: RadarTable;
    readonly webhooks: WebhookTable;
    readonly messages: WebhookMessageTable;
    readonly twilio: TwilioTable;
    readonly fetches: RecordingFetchTable;
  };
  readonly webhookSecrets: WebhookSecrets;
  readonly postMessage: PostMessage;
  /** `host:port` of receivers inside, which the operator permits. */
  readonly webhookHosts: ReadonlySet<string>;
  /** `host:port` of providers that recordings are fetched from. */
  readonly recordingHosts: ReadonlySet<string>;
  readonly askProvider: AskProvider;
  readonly providerTokens: ProviderTokens;
  readonly providerCallbacks: ProviderCallbacks;
  /** A recording is stored, and its provider keeps its copy. */
  readonly copyKept: (fields: { recording: string; fault: string }) => void;
  /** A recording that a provider named is asked for no longer. */
  readonly fetchGivenUp: (fields: GivenUp) => void;
  /** How long after its end a call's recording is waited for. */
  readonly radarGraceMs: number;
  readonly readiness: Readiness;
  readonly maxUploadBytes: number;
  readonly lifetimes: SessionLifetimes;
  readonly alarm: (fields: { recording: string; fault: string }) => void;
  readonly now: () => number;
};

type Shared = { readonly recordDenial: RecordDenial; readonly reportDamage: ReportDamage };

const playbackServices = (deps: ServiceDeps, { recordDenial, reportDamage }: Shared) => {
  const { recordings, playbacks, sessionCheck } = deps.tables;
  const authenticate = createAuthenticate({ sessionCheck, now: deps.now });
  return {
    openPlayback: createOpenPlayback({ ...deps, recordings, playbacks }),
    streamPlayback: createStreamPlayback({
      ...deps,
      recordings,
      playbacks,
      reportDamage,
      authorisePiece: createAuthorisePiece({ ...deps, playbacks, authenticate, recordDenial }),
      readVerified: createReadVerified({ ...deps, reportDamage }),
    }),
    reportHeard: createReportHeard({ ...deps, playbacks, recordDenial }),
  };
};

const ingestServices = (deps: ServiceDeps, recordDenial: RecordDenial) => {
  const { intake, uploads } = deps.tables;
  const stored = createStoredFlags(deps.tables.recordings);
  const recordings = { ...deps.tables.recordings, store: stored.store };
  const shared = { ...deps, recordings, newId: () => randomUUID() };
  const settle = createSettleIntent(shared);
  const recordUploadRefusal = createRecordUploadRefusal(deps);
  const { assertRoom } = deps.readiness;
  const decideIntake = createIntakeRules({ intake, assertRoom, recordUploadRefusal, now: deps.now });
  const secondDelivery = createSecondDelivery({ ...shared, settle });
  const ingestRecording = createIngestRecording({
    ...shared,
    recordUploadRefusal,
    decideIntake,
    intents: createUploadIntents(shared),
    seal: createSealUpload(shared),
    secondDelivery,
  });
  const resumable = { ...shared, uploads, ingestRecording, decideIntake, assertRoom };
  return {
    settle,
    ingestRecording,
    storedFlags: stored.counts,
    storedEarlier: async (asked: Parameters<typeof secondDelivery.earlier>[0]) => {
      const indexed = await indexFacts(deps.fields, asked.actor.organisation, asked.metadata);
      return (await secondDelivery.earlier(asked, indexed)).recording;
    },
    resumableUploads: createResumableUploads({ ...resumable, recordDenial, recordUploadRefusal }),
    recordUploadRefusal,
    checkImport: createCheckImport({
      intake,
      recordUploadRefusal,
      authority: createAuthority({ recordDenial }),
    }),
    openSealedUpload: createOpenSealedUpload({ ...deps, intake }),
    uploadStatus: createUploadStatus({ recordings, recordDenial }),
  };
};

const logServices = (deps: ServiceDeps) => {
  const shared = {
    ...deps,
    ...deps.tables,
    logQuestion: createLogQuestion(deps),
    recordReading: createRecordReading(deps),
    authenticate: createAuthenticate({ ...deps.tables, now: deps.now }),
  };
  return {
    readLog: createReadLog(shared),
    askLog: createAskLog(shared),
    exportLog: createExportLog(shared),
    readCheckpoint: createReadCheckpoint(deps),
    proveLog: createProveLog(shared),
    exportEvidence: createExportEvidence(shared),
  };
};

/** Which calls there were, which recordings of them came, and who is told of it. */
const radarServices = (
  deps: ServiceDeps,
  recordDenial: RecordDenial,
  changes: Parameters<typeof createAdministerWebhooks>[0]['changes'],
) => {
  const shared = {
    ...deps,
    ...deps.tables,
    graceMs: deps.radarGraceMs,
    secrets: deps.webhookSecrets,
    authority: createAuthority({ recordDenial }),
    newId: () => randomUUID() as string,
  };
  return {
    announceCalls: createAnnounceCalls(shared),
    readRadar: createReadRadar(shared),
    watchCalls: createWatchCalls(shared),
    webhooks: createAdministerWebhooks({ ...shared, changes, allowedHosts: deps.webhookHosts, randomBytes }),
    deliverWebhooks: createDeliverWebhooks({ ...shared, post: deps.postMessage, random: Math.random }),
  };
};

/** What providers say of recordings that are fetched from them. */
const callbackServices = (
  deps: ServiceDeps,
  ingest: ReturnType<typeof ingestServices>,
  shared: Pick<Parameters<typeof createTakeCallback>[0], 'announceCalls'> &
    Pick<Parameters<typeof createVerifyCallback>[0], 'recordRefusedCredential'> &
    Pick<Parameters<typeof createTwilioSettings>[0], 'changes'> & { readonly recordDenial: RecordDenial },
) => {
  const accountOf = createProviderAccounts({ ...deps, ...deps.tables });
  const recordingFetches = createRecordingFetches({
    ...deps,
    ...deps.tables,
    ...ingest,
    ...shared,
    accountOf,
    deliveryIndexes: async (organisation, metadata) =>
      (await indexFacts(deps.fields, organisation, metadata)).deliveries,
    newId: () => randomUUID(),
    random: Math.random,
  });
  return {
    twilio: createTwilioSettings({ ...deps, ...deps.tables, ...shared, authority: createAuthority(shared) }),
    verifyCallback: createVerifyCallback({ ...shared, accountOf }),
    takeCallback: createTakeCallback({ ...shared, recordingFetches }),
    recordingFetches,
    recordingHosts: deps.recordingHosts,
  };
};

/** What each kind of audited change does once its entry is in the log. */
const effectsOf = (deps: ServiceDeps, forget: Parameters<typeof createEraseEffect>[0]['forget']) => ({
  ...createIdentityEffects({ ...deps, ...deps.tables }),
  ...createHoldEffects(deps.tables),
  ...createWebhookEffects(deps.tables),
  ...createTwilioEffects({ ...deps.tables, now: deps.now }),
  'recording.assign': createAssignEffect(deps.tables),
  'recording.erase': createEraseEffect({ ...deps, ...deps.tables, forget }),
});

/** Everything a person or a telephony system can ask for. Order of effects is decided in these files and nowhere else. */
export const createServices = (deps: ServiceDeps) => {
  const { recordings, playbacks, holds, pendingChanges } = deps.tables;
  const newId = () => randomUUID();
  const recordDenial = createRecordDenial({ ...deps, recordings });
  const reportDamage = createReportDamage({ ...deps, recordings });
  const playback = playbackServices(deps, { recordDenial, reportDamage });
  const ingest = ingestServices(deps, recordDenial);
  const changes = createAuditedChanges({
    pending: pendingChanges,
    audit: deps.audit,
    log: deps.log,
    now: deps.now,
    effects: effectsOf(deps, playback.streamPlayback.forget),
  });
  const identity = createIdentityServices({ ...deps, ...deps.tables, changes, newId });
  const shared = { ...deps, recordings, changes, reportDamage, newId };
  const radar = radarServices(deps, recordDenial, changes);
  const { settle, storedEarlier: _ours, ...delivery } = ingest;
  const { recordRefusedCredential } = identity;
  const { announceCalls } = radar;
  const told = { announceCalls, recordRefusedCredential, changes, recordDenial };
  const callbacks = callbackServices(deps, ingest, told);
  return {
    ...identity,
    ...radar,
    ...callbacks,
    recordDenial,
    ...playback,
    ...delivery,
    edgeRecipient: deps.keyRing.edgeRecipient,
    searchRecordings: createSearchRecordings(shared),
    viewRecording: createViewRecording(shared),
    eraseRecording: createEraseRecording(shared),
    holdRecording: createHoldRecording({ ...shared, holds, recordDenial }),
    assignRecording: createAssignRecording({
      ...shared,
      ...deps.tables,
      recordDenial,
      authority: createAuthority({ recordDenial }),
    }),
    ...logServices(deps),
    openKey: createOpenKey(shared),
    verifyRecording: createVerifyRecording({ ...shared, recordDenial }),
    reportImport: createReportImport({ ...deps, authority: createAuthority({ recordDenial }) }),
    recordVerification: createRecordVerification(deps),
    exportKeys: createExportKeys({ ...shared, wrappedKeys: deps.tables.wrappedKeys }),
    readiness: deps.readiness,
    removeOrphans: createRemoveOrphans(shared),
    sweep: createSweep({
      ...deps,
      recordings,
      playbacks,
      settle,
      sweepUploads: ingest.resumableUploads.sweep,
      reconcileChanges: changes.reconcile,
      forgetOldSessions: identity.forgetOldSessions,
      watchCalls: radar.watchCalls,
      forgetMessages: radar.deliverWebhooks.forget,
      forgetFetches: callbacks.recordingFetches.forget,
    }),
    now: deps.now,
  };
};

export type Services = ReturnType<typeof createServices>;
