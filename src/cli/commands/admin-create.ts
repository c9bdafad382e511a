import { exitCodes } from '../exit-codes.ts';
import { printData, say } from '../print.ts';
import { withResources } from '../with-resources.ts';

type Options = {
  readonly email: string;
  readonly name: string;
  readonly organisation?: string;
  readonly json?: boolean;
};

/** The one command besides `serve` that may make the vault it is about. */
const FOUNDING = { mayFound: true };

/** The first administrator, made by the operator at the machine; the password is shown once. */
export const adminCreate = async ({ email, name, organisation, json = false }: Options): Promise<number> =>
  withResources(async ({ services }) => {
    const made = await services.createFirstAdmin({
      email,
      displayName: name,
      ...(organisation === undefined ? {} : { organisation }),
    });
    const { initialPassword, userId, role, organisationId, organisationCreated } = made;
    if (json)
      printData(
        JSON.stringify({ email, password: initialPassword, userId, role, organisation: organisationId }),
      );
    else {
      printData(`email\t${email}`);
      printData(`password\t${initialPassword}`);
      printData(`role\t${role}`);
      if (organisationId !== null) printData(`organisation\t${organisationId}`);
    }
    if (organisation !== undefined)
      say(
        organisationCreated
          ? 'Made the organisation and its keys.'
          : 'The organisation was there already; it has one administrator more.',
      );
    say('The password is shown this once. Change it after signing in: POST /v1/auth/password.');
    return exitCodes.clean;
  }, FOUNDING);
