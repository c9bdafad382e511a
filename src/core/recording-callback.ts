import { type AnnouncedCall, readAnnouncedCall } from './announced-call.ts';
import { AppError } from './errors.ts';
import { type CallMetadata, parseMetadata } from './metadata.ts';
import { authorityOf } from './webhook-url.ts';

/** Parameters of a form, each with all its values. Attacker-controlled until their signature has been verified. */
export type CallbackForm = ReadonlyMap<string, readonly string[]>;

/** Where a provider is asked for recordings without being named by the operator. */
export const TWILIO_HOST = 'api.twilio.com:443';

const MAX_PARAMETERS = 100;

/** The parameters of `application/x-www-form-urlencoded`; null when there are too many. */
export const readCallbackForm = (body: string): CallbackForm | null => {
  const form = new Map<string, string[]>();
  const pairs = [...new URLSearchParams(body)];
  if (pairs.length > MAX_PARAMETERS) return null;
  for (const [name, value] of pairs) form.set(name, [...(form.get(name) ?? []), value]);
  return form;
};

/** Whatever {@link readRecordingCallback} reads. */
const READ = [
  'AccountSid',
  'CallSid',
  'RecordingSid',
  'RecordingUrl',
  'RecordingStatus',
  'RecordingStartTime',
  'RecordingDuration',
  'RecordingChannels',
] as const;

/** The same callback, without what nobody reads, as {@link readCallbackForm} has it: to be read again later. */
export const keptForm = (form: CallbackForm): string =>
  new URLSearchParams(
    READ.flatMap((name) => (form.get(name) ?? []).map((value) => [name, value] as [string, string])),
  ).toString();

/** The address as it is, with its port and without: telephony systems and proxies differ in which they sign. */
const spellings = (url: string): readonly string[] => {
  const [, origin = '', port, rest = ''] = /^(https:\/\/[^/:]+)(:\d+)?(\/.*)$/.exec(url) ?? [];
  return [...new Set([url, `${origin}${rest}`, `${origin}${port ?? ':443'}${rest}`])];
};

/**
 * What X-Twilio-Signature is made over, in each spelling of the address: the address and then every parameter's name and
 * value, by name, nothing between; of a parameter given more than once each different value, in order.
 */
export const signedTexts = (url: string, form: CallbackForm): readonly string[] => {
  const parameters = [...form.keys()]
    .sort()
    .flatMap((name) => [...new Set(form.get(name))].sort().map((value) => name + value))
    .join('');
  return spellings(url).map((spelling) => spelling + parameters);
};

/** A callback whose signature is that of the source's account. */
export type RecordingCallback = {
  /** `other`: of a status that says nothing of whether there is a recording. */
  readonly status: 'started' | 'completed' | 'none' | 'other';
  readonly call: AnnouncedCall;
  /** Of a recording that is to be fetched. */
  readonly recording: {
    readonly metadata: CallMetadata;
    /** The recording at the provider. */
    readonly url: string;
    /** Its sound. */
    readonly audioUrl: string;
  } | null;
};

type Account = { readonly accountSid: string; readonly hosts: ReadonlySet<string> };

const statuses: Readonly<Record<string, RecordingCallback['status']>> = {
  'in-progress': 'started',
  completed: 'completed',
  absent: 'none',
  failed: 'none',
};
const ID = /^[A-Za-z0-9-]{1,64}$/;
const RFC_2822 = /^[A-Za-z]{3}, \d{1,2} [A-Za-z]{3} \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4}$/;
const FOLDERS = '(/[A-Za-z0-9_-][A-Za-z0-9._-]*){0,4}';

const refused = (where: string, fault: string): AppError =>
  new AppError('not_acceptable_metadata', 'The callback cannot be accepted.', { faults: [{ where, fault }] });

const readerOf = (form: CallbackForm) => ({
  text(name: string): string | null {
    const [value, ...more] = form.get(name) ?? [];
    if (more.length > 0) throw refused(name, 'is given more than once');
    return value === undefined || value === '' ? null : value;
  },
  id(name: string): string {
    const value = this.text(name);
    if (value === null || !ID.test(value)) throw refused(name, 'is required: letters, digits and -');
    return value;
  },
});

const startOf = (text: string | null): number | null => {
  if (text === null) return null;
  const time = RFC_2822.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw refused('RecordingStartTime', 'is no time of RFC 2822');
  return time;
};

const durationOf = (text: string | null): number | null => {
  if (text === null || text === '-1') return null;
  if (!/^\d{1,6}$/.test(text)) throw refused('RecordingDuration', 'is no number of seconds');
  return Number(text) * 1000;
};

/** Only this recording of this account, at a host that is asked for recordings. */
const urlOf = (text: string | null, recordingSid: string, { accountSid, hosts }: Account): string => {
  if (text === null || text.length > 2000 || !URL.canParse(text))
    throw refused('RecordingUrl', 'is required');
  const url = new URL(text);
  if (url.protocol !== 'https:' || url.username !== '' || url.password !== '')
    throw refused('RecordingUrl', 'must begin with https:// and name neither user nor password');
  if (!hosts.has(authorityOf(url)))
    throw refused('RecordingUrl', 'is at a host that the operator does not permit (RECORDING_HOSTS)');
  const path = new RegExp(`^${FOLDERS}/Accounts/${accountSid}/Recordings/${recordingSid}$`);
  if (!path.test(url.pathname) || url.search !== '' || url.hash !== '')
    throw refused('RecordingUrl', 'is not that of this recording of this account');
  return url.href;
};

const callOf = (
  callId: string,
  { started, ended }: { readonly started: number; readonly ended: number | null },
  now: number,
): AnnouncedCall => {
  const given = {
    callId,
    startedAt: new Date(started).toISOString(),
    ...(ended === null ? {} : { endedAt: new Date(ended).toISOString() }),
  };
  const read = readAnnouncedCall(given, now);
  if ('call' in read) return read.call;
  throw refused('RecordingStartTime', 'lies before 1970 or more than a day ahead');
};

/**
 * What a verified callback says. `account.accountSid` is of letters, digits and `-`; `account.hosts` names `host:port`s.
 * Throws `not_acceptable_metadata`, which repeats no value. `now` is milliseconds since 1970.
 */
export const readRecordingCallback = (
  form: CallbackForm,
  account: Account,
  now: number,
): RecordingCallback => {
  const given = readerOf(form);
  if (given.id('AccountSid') !== account.accountSid) throw refused('AccountSid', 'is not that of the source');
  const status = statuses[given.id('RecordingStatus')] ?? 'other';
  const [callId, recordingSid] = [given.id('CallSid'), given.id('RecordingSid')];
  const started = startOf(given.text('RecordingStartTime'));
  const duration = durationOf(given.text('RecordingDuration'));
  const from = started ?? now;
  const ended = status === 'started' ? null : duration === null ? Math.max(from, now) : from + duration;
  const call = callOf(callId, { started: from, ended }, now);
  if (status !== 'completed') return { status, call, recording: null };
  const url = urlOf(given.text('RecordingUrl'), recordingSid, account);
  const known = { callId, deliveryId: `twilio ${recordingSid}` };
  const startedAt = started === null ? {} : { startedAt: new Date(started).toISOString() };
  const metadata = parseMetadata({ ...known, ...startedAt }, now);
  // Without it a recording of two channels may come mixed into one.
  const channels = given.text('RecordingChannels') === '2' ? '?RequestedChannels=2' : '';
  return { status, call, recording: { metadata, url, audioUrl: `${url}.wav${channels}` } };
};
