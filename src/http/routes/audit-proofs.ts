import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { Static } from 'typebox';
import type { InclusionProof } from '../../services/prove-log.ts';
import type { Services } from '../../services/services.ts';
import { SeqParams } from '../schemas/audit.ts';
import {
  ConsistencyQuery,
  ConsistencySchema,
  EntryProofSchema,
  InclusionQuery,
  InclusionSchema,
} from '../schemas/audit-proofs.ts';
import { problems } from '../schemas/common.ts';
import { userOf } from './recordings.ts';

type Options = { readonly services: Pick<Services, 'proveLog'> };

const base64 = (hash: Buffer): string => hash.toString('base64');
const sizeOf = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Number(text);

const shown = ({ seq, size, leaf, root, proof }: InclusionProof) => ({
  seq,
  size,
  leaf: base64(leaf),
  root: base64(root),
  proof: proof.map(base64),
});

const bareProofs = (app: FastifyInstance, { proveLog }: Options['services']): void => {
  app.get(
    '/proof/inclusion',
    {
      config: { access: { action: 'log.read' } },
      schema: {
        tags: ['audit'],
        operationId: 'proveInclusion',
        summary: 'That an entry is in the tree of the first `size` entries: hashes only',
        querystring: InclusionQuery,
        response: { 200: InclusionSchema, ...problems() },
      },
    },
    async (request, reply) => {
      const { seq, size } = request.query as Static<typeof InclusionQuery>;
      reply.header('cache-control', 'private, no-store');
      return shown(await proveLog.inclusion(Number(seq), sizeOf(size)));
    },
  );

  app.get(
    '/proof/consistency',
    {
      config: { access: { action: 'log.read' } },
      schema: {
        tags: ['audit'],
        operationId: 'proveConsistency',
        summary: 'That the tree of `from` entries is the beginning of the tree of `to`: hashes only',
        querystring: ConsistencyQuery,
        response: { 200: ConsistencySchema, ...problems() },
      },
    },
    async (request, reply) => {
      const query = request.query as Static<typeof ConsistencyQuery>;
      const { from, to, fromRoot, toRoot, proof } = await proveLog.consistency(
        Number(query.from),
        sizeOf(query.to),
      );
      reply.header('cache-control', 'private, no-store');
      return { from, to, fromRoot: base64(fromRoot), toRoot: base64(toRoot), proof: proof.map(base64) };
    },
  );
};

/** What the log can prove of itself. Bare proofs are hashes; an entry with its proof is reading, and an entry. */
export const auditProofRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  bareProofs(app, services);
  app.get(
    '/entries/:seq/proof',
    {
      config: { access: { action: 'log.read' } },
      schema: {
        tags: ['audit'],
        operationId: 'proveEntry',
        summary: 'One entry with salt, commitment and proof, to the newest checkpoint that has it',
        description: 'docs/audit-log.md (A proof of one entry) says how to check it without this vault.',
        params: SeqParams,
        response: { 200: EntryProofSchema, ...problems(404) },
      },
    },
    async (request, reply) => {
      const { seq } = request.params as Static<typeof SeqParams>;
      const entry = await services.proveLog.entry(userOf(request), Number(seq), request.id);
      reply.header('cache-control', 'private, no-store');
      const { body, salt, commitment, checkpoint } = entry;
      return {
        ...shown(entry),
        commitment: base64(commitment),
        salt: base64(salt),
        body,
        checkpoint,
      };
    },
  );
};
