# Askfirst as an image. It holds no secret and no key; it runs as an ordinary user and writes to its data directory only.
# Where no registry or package index is reached: --build-arg BASE=IMAGE (Python 3.11 with venv), and the locked packages
# as files in wheels/ (CONTRIBUTING.md says how).
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock wheels* /wheels/
RUN python3 -m venv /opt/askfirst \
  && if ls /wheels/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels; fi \
  && /opt/askfirst/bin/pip install --no-cache-dir --require-hashes -r /wheels/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY templates templates
COPY migrations migrations
RUN if ls /wheels/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels; fi \
  && /opt/askfirst/bin/pip install --no-cache-dir --no-deps .

FROM ${BASE}
RUN useradd --system --uid 10001 --home-dir /var/lib/askfirst --shell /usr/sbin/nologin askfirst \
  && install -d -m 700 -o askfirst -g askfirst /var/lib/askfirst /var/lib/askfirst-anchor /run/askfirst \
  && install -d -m 755 -o askfirst -g askfirst /run/askfirst-database
COPY --from=build /opt/askfirst /opt/askfirst
COPY deploy/prepare.sh /usr/local/bin/askfirst-prepare
ENV PATH=/opt/askfirst/bin:$PATH \
  ASKFIRST_DATA_DIR=/var/lib/askfirst \
  ASKFIRST_LISTEN=0.0.0.0:8770
USER 10001
WORKDIR /var/lib/askfirst
EXPOSE 8770
# Ready, and not merely alive: it fails where the database does not answer, or the worker has ended.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8770/readyz', timeout=3)"]
CMD ["askfirst", "serve"]
