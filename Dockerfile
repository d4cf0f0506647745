# syntax=docker/dockerfile:1

# The service as an image: one binary on distroless, without a shell, as nobody in particular.
#
#   docker buildx build --platform linux/amd64,linux/arm64 \
#     --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" --tag registry.example.org/convoke:0.1.0 .
#
# Nothing is cross-compiled: each platform is built by a builder of its own kind, or by emulation, which is slow.

# Of the same Debian as the final stage, so that the binary finds the C library that it was linked with.
FROM rust:1.95-slim-trixie AS chef
WORKDIR /source
RUN cargo install cargo-chef --locked --version 0.1.78

# What the dependencies are: changes only when a Cargo.toml or Cargo.lock does.
FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=plan /source/recipe.json recipe.json
# The layer that takes long, kept until the recipe changes.
RUN cargo chef cook --profile dist --locked --package convoke --recipe-path recipe.json
COPY . .
RUN cargo build --profile dist --locked --package convoke \
    && mkdir -p /image/usr/lib /image/usr/local/bin /data \
    && cp target/dist/convoke /image/usr/local/bin/ \
    && cp "$(gcc -print-file-name=libgcc_s.so.1)" /image/usr/lib/

# The C library, authorities' certificates and time zones. What distroless/cc has besides, OpenSSL and the C++ library, would
# be 10 MB that nobody uses: of all that, the binary needs the compiler's own library alone, which comes with it.
FROM gcr.io/distroless/base-nossl-debian13:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Convoke" \
      org.opencontainers.image.description="Registers chats, hands out the link that invites into them, and keeps the record of who was in" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="gcr.io/distroless/base-nossl-debian13:nonroot"
COPY --from=build /image /
# The only folder that belongs to whom the service runs as. A volume put there keeps the SQLite database, which is
# convoke-data/convoke.db below the working folder where nothing else is said. It is not declared a VOLUME: then a
# read-only root would have a hole that nobody asked for.
COPY --from=build --chown=65532:65532 /data /data
WORKDIR /data
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
# From outside a container its loopback can't be reached. The admin listener is not published: see deploy/README.md.
ENV CONVOKE__SERVER__BIND=0.0.0.0:8080 \
    CONVOKE__ADMIN__BIND=0.0.0.0:8081
EXPOSE 8080 8081
# For engines that look at it; Kubernetes has probes of its own.
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s --retries=3 CMD ["/usr/local/bin/convoke", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/convoke"]
CMD ["serve"]
