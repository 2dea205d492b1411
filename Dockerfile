# `pipe` with its worker; runs the demo by default, as a user without rights.
#
#     docker build -t pipe .
#     docker run --rm -v "$PWD/results:/home/pipe/results" pipe
#
# Every step is a line of scripts/docker-setup, which runs without Docker too.

FROM rust:1-bookworm AS build
WORKDIR /src
COPY scripts/docker-setup scripts/
RUN scripts/docker-setup packages
COPY . .
RUN scripts/docker-setup build /opt/pipe && scripts/docker-setup check /opt/pipe

FROM debian:bookworm-slim
COPY scripts/docker-setup /opt/setup/scripts/
RUN /opt/setup/scripts/docker-setup runtime pipe
COPY --from=build /opt/pipe /opt/pipe
ENV PATH=/opt/pipe/bin:$PATH
USER pipe
WORKDIR /home/pipe
# A place of their own for the user's edits; `results/` is the folder to mount.
RUN cp -R /opt/pipe/pipelines . && mkdir results
ENTRYPOINT ["pipe"]
CMD ["run", "pipelines/benson2025.yaml"]
