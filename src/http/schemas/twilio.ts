import { Type } from 'typebox';
import { Closed, Uuid } from './common.ts';

const settings = {
  accountSid: Type.String({ pattern: '^[A-Za-z0-9-]{2,64}$', description: 'of the account or subaccount' }),
  callbackUrl: Type.String({
    maxLength: 2000,
    description:
      'recordingStatusCallback as the provider is told it, letter by letter: signatures are made over it. https, without user, query and fragment',
  }),
};
const DELETE_AFTER =
  'delete a recording at the provider once it is stored here; what is damaged or not recognised stays there';
export const TwilioBody = Closed({
  ...settings,
  authToken: Type.String({ pattern: '^[!-~]{16,128}$', description: 'kept sealed, and never answered' }),
  deleteAfter: Type.Optional(Type.Boolean({ description: `${DELETE_AFTER}; false without it` })),
});
export const TwilioSchema = Closed({ ...settings, deleteAfter: Type.Boolean({ description: DELETE_AFTER }) });

const text = (description: string) => Type.Optional(Type.String({ description }));
/** The parameters that are looked at, for /openapi.json; all others are passed over, as their signature demands. */
const Callback = Type.Object({
  AccountSid: Type.String(),
  CallSid: Type.String({ description: 'the id of the call' }),
  RecordingSid: Type.String(),
  RecordingStatus: Type.String({
    description: 'in-progress, completed, absent, failed; others mean nothing',
  }),
  RecordingUrl: text('where a completed recording is fetched, with .wav'),
  RecordingStartTime: text('RFC 2822'),
  RecordingDuration: text('seconds'),
  RecordingChannels: text('1 or 2'),
});
export const RecordingCallbackBody = {
  body: { content: { 'application/x-www-form-urlencoded': { schema: Callback } } },
  headers: Type.Object({
    'X-Twilio-Signature': Type.String({
      description: 'base64 of HMAC-SHA1 over callbackUrl and the sorted parameters, under the auth token',
    }),
  }),
};

export const TakenCallbackSchema = Closed({ id: Uuid, status: Type.Literal('stored') });
