# Airflow with Nightshift in it: the same pinned packages and runtimes as ./nightshift builds.
# Docker's build could not be run where this was written; ./nightshift test checks it against the
# local stack as far as files can tell.
FROM apache/airflow:3.3.2-python3.11

# The operators' environment: Airflow's own Python, held to the lock file.
COPY --chown=airflow:0 requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt

# The steps' runtimes. Before the code, so that a changed line of code rebuilds nothing of them.
USER root
RUN install -d -o airflow -g 0 -m 2775 \
        /opt/nightshift /var/lib/nightshift /var/lib/nightshift/models \
        /var/lib/nightshift/models/blue /var/lib/nightshift/models/green \
        /var/lib/nightshift/envoy /var/lib/nightshift/agent /var/lib/nightshift/mlflow
USER airflow
ENV NIGHTSHIFT_RUNTIMES=/opt/nightshift/runtimes
COPY --chown=airflow:0 include/runtimes /opt/nightshift/build/include/runtimes
COPY --chown=airflow:0 include/nightshift /opt/nightshift/build/include/nightshift
COPY --chown=airflow:0 nightshift /opt/nightshift/build/nightshift
RUN UV_LINK_MODE=copy UV_NO_CACHE=1 PIP_USER=0 /opt/nightshift/build/nightshift build ml validation

COPY --chown=airflow:0 include /opt/airflow/include
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 dags /opt/airflow/dags
ENV PYTHONPATH=/opt/airflow/include
