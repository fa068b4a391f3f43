# An image with wsol, for every node of a cluster; see docs/clusters.md.
#
#   docker build --tag wsol:cuda .
#   docker build --tag wsol:cpu --build-arg ACCELERATOR=cpu --build-arg TORCH_CPU_INDEX=... .
#
# The hash-pinned lock has torch for CUDA, whose libraries come with it; the machine brings the
# driver. For the CPU the same versions come from an index that has them without CUDA.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

ARG ACCELERATOR=cuda
ARG TORCH_CPU_INDEX=

# KubeRay's probes ask with wget; Ray's launcher copies with rsync over ssh.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openssh-client procps rsync wget \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/wsol
COPY requirements.lock ./
RUN set -eu; \
    case "$ACCELERATOR" in \
        cuda) pip install --no-cache-dir --require-hashes -r requirements.lock ;; \
        cpu) \
            test -n "$TORCH_CPU_INDEX" \
                || { echo "ACCELERATOR=cpu needs TORCH_CPU_INDEX, an index with torch for the CPU" >&2; exit 1; }; \
            awk '/^[a-z]/ { keep = $0 !~ /^(nvidia-|cuda-|triton==|torch==|torchvision==)/ } keep' \
                requirements.lock > without-torch.lock; \
            pip install --no-cache-dir --require-hashes -r without-torch.lock; \
            pip install --no-cache-dir --no-deps --index-url "$TORCH_CPU_INDEX" \
                $(grep -oE '^(torch|torchvision)==[0-9.]+' requirements.lock) ;; \
        *) echo "ACCELERATOR is cuda or cpu, not '$ACCELERATOR'" >&2; exit 1 ;; \
    esac

COPY pyproject.toml README.md LICENSE ./
COPY clusters clusters
COPY orchestrator orchestrator
COPY workloads workloads
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --create-home --uid 1000 wsol

# Without the driver's libraries torch finds no GPU, whatever is built in.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONUNBUFFERED=1
WORKDIR /home/wsol
USER wsol
CMD ["wsol", "--help"]
