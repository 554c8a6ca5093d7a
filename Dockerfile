# SPDX-License-Identifier: Apache-2.0
# Three images from one builder: `make image` builds them, `make push IMAGE=..` pushes them.
#   server   the server and the libraries it needs, nothing else
#   tools    dcnv2-convert and dcnv2-score, likewise
#   trainer  dcnv2-train with libtorch, for several machines, on Debian
# Each holds a list of what it is made of: /usr/share/doc/NAME/sbom.spdx.json.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS packages
RUN dpkg-query -W -f '${Package}\n' >/base-packages \
    && apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        gcc libc6-dev make pkg-config python3 libcjson-dev libnghttp2-dev libyaml-dev zlib1g-dev

FROM packages AS build
ENV CFLAGS="-O2 -ffile-prefix-map=/src=."
WORKDIR /src
COPY . .
RUN make -j"$(nproc)" all
ARG SOURCE_DATE_EPOCH=0
ARG REVISION=unknown
RUN deploy/image/root.py --name dcnv2-server build/bin/dcnv2-server \
    && deploy/image/root.py --name dcnv2-tools build/bin/dcnv2-convert build/bin/dcnv2-score

FROM scratch AS server
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="dcnv2-server" \
      org.opencontainers.image.description="Serves DCNv2 click-through-rate models on KServe" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/dcnv2-server /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/bin/dcnv2-server"]

FROM scratch AS tools
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="dcnv2-tools" \
      org.opencontainers.image.description="dcnv2-convert and dcnv2-score" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/dcnv2-tools /
USER 65532:65532
CMD ["/usr/bin/dcnv2-convert", "--help"]

FROM packages AS packages-torch
RUN apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        g++ libtorch-dev libgloo-dev libopenblas0-serial

FROM packages-torch AS build-torch
WORKDIR /src
COPY --from=build /src /src
RUN make build/lib/dcnv2_torch.so CXXFLAGS=-ffile-prefix-map=/src=.
ARG SOURCE_DATE_EPOCH=0
ARG REVISION=unknown
RUN deploy/image/root.py --name dcnv2-trainer --base-packages /base-packages build/bin/dcnv2-train build/lib/dcnv2_torch.so

FROM ${BASE} AS trainer
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="dcnv2-trainer" \
      org.opencontainers.image.description="Trains DCNv2 click-through-rate models, on one machine or several" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build-torch /image/dcnv2-trainer /
USER 65532:65532
ENTRYPOINT ["/usr/bin/dcnv2-train"]
CMD ["--help"]
