FROM node:24-bookworm-slim AS build
WORKDIR /app
# What `npm ci` needs, since it generates the store's client and the API's client: a change elsewhere keeps this layer.
COPY package.json package-lock.json prisma.config.ts codegen.yml schema.graphql ./
COPY prisma ./prisma
COPY src/cli/client ./src/cli/client
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/prisma ./prisma
COPY assets ./assets
COPY --from=build /app/package.json /app/schema.graphql ./
RUN mkdir --mode=0700 /var/lib/declutter && chown node:node /var/lib/declutter
ENV DECLUTTER_DATA_DIR=/var/lib/declutter
VOLUME /var/lib/declutter
USER node
EXPOSE 4000
ENTRYPOINT ["node", "--max-semi-space-size=8", "--heap-growing-percent=100", "dist/main.js"]
CMD ["serve"]
