/** How to reach one database as one role: what `pg` and Prisma's adapter take as it is. */
export type PostgresSettings = {
  /** Host name, address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Present exactly when the server is beyond this machine: its certificate and name are always verified. */
  readonly ssl?: {
    readonly rejectUnauthorized: true;
    /** What the certificate must be for, also when it is an address. */
    readonly host: string;
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
  };
};
