# One image for both modes: the embedded ClickHouse comes along as a wheel, RAK_CLICKHOUSE__MODE=server leaves it unused.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY migrations migrations
RUN python -m venv /opt/rak-ingest \
    && /opt/rak-ingest/bin/pip install --no-cache-dir '.[embedded]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/rak-ingest rak
COPY --from=build /opt/rak-ingest /opt/rak-ingest
USER rak
WORKDIR /var/lib/rak-ingest
# A container is reached from outside it, so its doors cannot be loopback. The service refuses that without credentials
# unless RAK_ACCESS__ALLOW_ANONYMOUS=true says that something in front of it authenticates: that choice stays with you.
ENV RAK_SERVER__HOST=0.0.0.0 \
    RAK_LOG__FORMAT=json \
    RAK_CLICKHOUSE__PATH=/var/lib/rak-ingest/clickhouse \
    RAK_SPOOL__PATH=/var/lib/rak-ingest/spool
VOLUME /var/lib/rak-ingest
EXPOSE 4317 4318 4319 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["/opt/rak-ingest/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/ready', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/rak-ingest/bin/rak-ingest"]
CMD ["serve"]
