# data-putter: a router with its own putter and datastore, in one container (docs/docker.md).
#
#   docker build -t data-putter .        or ./build-docker.sh
#   ./run-in-docker.sh                   S3 on 9000, streams on 5001, objects and responses on 5002, data in the volume /data

# Every tool of the build stays in this stage.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY kernel ./kernel
COPY src ./src
RUN npm run build

FROM node:22-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json README.md ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY bin ./bin
RUN ln -s /app/bin/data-putter.cjs /usr/local/bin/data-putter && mkdir /data && chown node:node /data

# Everything that is kept lies below /data: volumes, the embedded datastore, the key.
USER node
WORKDIR /data
VOLUME /data
EXPOSE 9000 5001 5002

# `docker stop` sends SIGTERM: what is under way is finished (at most 10 s), then the process ends.
STOPSIGNAL SIGTERM
# Asks the response port; nothing is written. The key is found as ./key.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["data-putter", "status"]
ENTRYPOINT ["data-putter"]
CMD ["router", "--root", "/data", "--bind", "0.0.0.0"]
