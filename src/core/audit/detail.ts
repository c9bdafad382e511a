import type { AuditAction, EventDetails } from '../events.ts';
import {
  count,
  type Field,
  flag,
  label,
  list,
  nullable,
  oneOf,
  pair,
  quantity,
  record,
  sha256Hex,
  text,
  uuid,
} from './field.ts';

/** Free text of people and closed words of ours: long enough for a sentence. */
const words = text(500);
/** A word of ours. */
const word = text(64);

const changed = record<EventDetails['user.changed']>({ target: label, change: words });

/**
 * What each action's detail holds, in the order it is written. An action without a line here does not compile. The order
 * is part of the committed bytes: a line may be added at the end of the table, never changed.
 */
export const detailFields: { readonly [A in AuditAction]: Field<EventDetails[A]> } = {
  'installation.created': record({ schema: count }),
  'recording.stored': record({
    bytes: count,
    sealedSha256: sha256Hex,
    envelopeSha256: sha256Hex,
    durationMs: nullable(quantity),
    flags: list(word, 32),
  }),
  'recording.refused': record({ reason: words, bytes: count }),
  'recording.abandoned': record({ reason: oneOf('client', 'sweeper') }),
  'recording.viewed': record({}),
  'recordings.searched': record({
    count,
    results: list(uuid, 1000),
    criteria: list(word, 32),
    indexVersion: count,
    more: flag,
  }),
  'recording.erased': record({ reason: words, decision: nullable(words), tombstone: oneOf(true) }),
  'recording.erase_denied': record({ reason: words }),
  'recording.key_opened': record({ reason: oneOf('disaster_recovery') }),
  'recording.damaged': record({ fault: words }),
  'playback.opened': record({ playback: uuid, reason: nullable(words), expiresAt: count }),
  'playback.denied': record({ reason: words }),
  'playback.heard': record({ playback: uuid, spans: list(pair(quantity), 1000) }),
  'hold.placed': record({ hold: uuid, reason: words }),
  'hold.released': record({ hold: uuid }),
  'access.denied': record({ route: words, reason: words }),
  'session.opened': record({ method: oneOf('password', 'client_credentials') }),
  'session.refused': record({ prefix: word, account: nullable(label), count, reason: words }),
  'session.closed': record({ reason: oneOf('logout', 'reuse_detected', 'disabled', 'password_changed') }),
  'organisation.changed': changed,
  'unit.changed': changed,
  'user.changed': changed,
  'source.changed': changed,
  'policy.changed': changed,
  'key.rotated': record({ purpose: word, version: count }),
  'log.read': record({ count, first: nullable(count), last: nullable(count) }),
  'log.verified': record({ size: count, ok: flag }),
  'keys.exported': record({ place: oneOf('store', 'folder'), count, sha256: sha256Hex }),
  'log.exported': record({
    format: word,
    criteria: list(word, 32),
    count,
    first: nullable(count),
    last: nullable(count),
  }),
  'log.pruned': record({ from: count, to: count, floor: count }),
  'log.epoch_opened': record({
    epoch: count,
    anchoredSize: count,
    anchoredRoot: sha256Hex,
    headSize: count,
    headRoot: sha256Hex,
    lostFrom: count,
    lostTo: count,
    reason: words,
    approvers: list(uuid, 2),
  }),
  'recording.assigned': record({ unit: uuid, before: nullable(uuid) }),
  'recording.verified': record({}),
  'import.reported': record({
    sha256: sha256Hex,
    files: count,
    verified: count,
    wiped: count,
    exceptions: count,
  }),
  'calls.announced': record({ count, expected: count, tooOld: count, form: oneOf('json', 'csv') }),
  'webhook.changed': changed,
};
