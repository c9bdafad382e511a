import { Type } from 'typebox';
import { LogQuerySchema } from './audit.ts';
import { Closed, Instant, Uuid } from './common.ts';

const Place = (description: string) =>
  Type.Optional(Type.String({ pattern: '^(0|[1-9][0-9]{0,14})$', maxLength: 15, description }));

const range = {
  from: Place('first entry of a run; 0 when absent'),
  to: Place('end of the run, not included; the present end of the log when absent'),
};
const period = {
  since: Type.Optional(Instant),
  until: Type.Optional(Instant),
};

/** In an address: nothing that is about a patient. */
export const ExportQuery = Closed({
  ...range,
  ...period,
  recording: Type.Optional(Uuid),
  actor: Type.Optional(Uuid),
});

const { subject, callerNumber, personalNumber } = LogQuerySchema.properties;

export const ExportBody = Closed({
  ...range,
  ...period,
  recording: Type.Optional(Uuid),
  actor: Type.Optional(Uuid),
  subject,
  callerNumber,
  personalNumber,
});
