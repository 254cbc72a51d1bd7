# The program alone, as a user that is not root, on an image without a shell.
#
#   docker build --build-arg VERSION=1.2.3 -t gemini-resilient-proxy .
#   docker run -p 8080:8080 -e UPSTREAM_URL_BASE=… gemini-resilient-proxy
#
# Building for another architecture needs no emulation: Go builds for all.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS TARGETARCH VERSION=development
WORKDIR /src
# Modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w -buildid= -X main.release=$VERSION" -o /gemini-resilient-proxy .

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /gemini-resilient-proxy /usr/bin/gemini-resilient-proxy
COPY LICENSE /usr/share/doc/gemini-resilient-proxy/LICENSE
# By number: Kubernetes cannot tell otherwise that it is not root.
USER 65532:65532
ENV LOG_FORMAT=json
# ADMIN_ADDR stays on loopback; set it to :9090 where probes and scrapes come
# from outside, and see that nobody else reaches it.
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/gemini-resilient-proxy"]
