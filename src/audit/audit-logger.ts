/** Where the audit room reports what an operator should know; pino fits. Never receives a body. */
export type AuditLogger = {
  readonly info: (fields: object, message: string) => void;
  readonly warn: (fields: object, message: string) => void;
  readonly error: (fields: object, message: string) => void;
};
