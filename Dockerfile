# One Octavo node, for a PostgreSQL of yours: DATABASE_URL and a token key have to be given. The embedded PostgreSQL is left
# out. Debian, since uWebSockets.js needs glibc.
#
#   docker build -t octavo:0.1.0 .
#   docker run --read-only --tmpfs /data -p 3002:3002 -e DATABASE_URL=… -e JWT_SECRET=… octavo:0.1.0
#   docker run --rm -e DATABASE_URL=… octavo:0.1.0 verify --all
ARG NODE_IMAGE=node:22.23.1-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The one install script is our own build, which needs the sources.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN npm run build

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without what is optional: that is the embedded PostgreSQL, 60 MB. Of uWebSockets.js's builds, 130 MB, this platform's stays.
RUN npm ci --omit=dev --omit=optional --ignore-scripts \
  && addon="uws_linux_$(node -p 'process.arch + "_" + process.versions.modules').node" \
  && test -f "node_modules/uWebSockets.js/dist/bin/$addon" \
  && find node_modules/uWebSockets.js/dist/bin -name '*.node' ! -name "$addon" -delete

FROM ${NODE_IMAGE}
ENV NODE_ENV=production HOST=0.0.0.0 DATA_DIR=/data
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
# Only server.json goes there, for the commands: a tmpfs will do.
RUN install -d -o node -g node -m 700 /data
# The image's user `node`, by number: Kubernetes checks that it is not root.
USER 1000:1000
EXPOSE 3002
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.SYNC_PORT || 3002) + '/healthz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/cli/octavo.js"]
CMD ["start"]
