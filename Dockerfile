# One recipe for every image: SERVICE is registry, projects, requests, notifications or identity (with MEMBER=local).
# What all services need is one layer that they share; after a change of code only the last layer is made anew.

FROM python:3.13-slim AS uv
COPY requirements.lock .
# The installer, as the lock pins and hashes it.
RUN --mount=type=cache,target=/root/.cache/pip \
    sed -n '/^uv==/,/[^\\]$/p' requirements.lock >uv.txt && \
    python -m pip install -q --root-user-action=ignore --disable-pip-version-check --require-hashes --no-deps --target /uv -r uv.txt

FROM python:3.13-slim AS libraries
ENV PATH=/app/bin:$PATH VIRTUAL_ENV=/app HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 MALLOC_ARENA_MAX=2
ARG UV_CACHE_DIR=/cache UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never UV_NO_SOURCES=1
# In the lock's versions; uv refuses each that does not match its hash, whether we name it or another needs it. Only wheels, but for two
# that have none and are Python alone.
ARG INSTALL="/uv/bin/uv pip install -q --require-hashes --only-binary :all: --no-binary http-ece --no-binary dkimpy -c requirements.lock --excludes deploy/image-excludes.txt"
WORKDIR /src
COPY requirements.lock ./
COPY deploy/image-excludes.txt deploy/
COPY shared/pyproject.toml shared/
RUN --mount=type=bind,from=uv,source=/uv,target=/uv --mount=type=cache,target=/cache \
    python -m venv --without-pip /app && $INSTALL -r shared/pyproject.toml && \
    useradd -u 10001 -U -M -d /tmp -s /usr/sbin/nologin tejido && \
    install -d -o tejido -g tejido -m 700 /data /var/lib/tejido /var/lib/tejido/files /var/lib/tejido/receiving

FROM libraries AS code
ARG SERVICE
ARG MEMBER=services/${SERVICE}
COPY shared shared
COPY ${MEMBER} ${MEMBER}
RUN --mount=type=bind,from=uv,source=/uv,target=/uv \
    /uv/bin/uv build -q --offline --wheel -o /wheels shared && /uv/bin/uv build -q --offline --wheel -o /wheels ${MEMBER}

FROM libraries
ARG SERVICE
ARG MEMBER=services/${SERVICE}
COPY ${MEMBER}/pyproject.toml ${MEMBER}/
RUN --mount=type=bind,from=uv,source=/uv,target=/uv --mount=type=cache,target=/cache \
    $INSTALL -r ${MEMBER}/pyproject.toml
COPY deploy/healthy /usr/local/bin/
RUN --mount=type=bind,from=uv,source=/uv,target=/uv --mount=type=bind,from=code,source=/wheels,target=/wheels \
    UV_CACHE_DIR=/tmp/uv /uv/bin/uv pip install -q --offline --no-deps /wheels/*.whl && rm -rf /tmp/uv
WORKDIR /
USER 10001:10001
