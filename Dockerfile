# The main job on a CPU: docs/installing.md. Results are written to /asit/egs/mini/exp.
FROM python:3.11-slim
WORKDIR /asit
COPY . .
RUN tools/install.sh --torch-backend cpu --allow-cuda false
ENV PATH=/asit/.venv/bin:$PATH
CMD ["egs/mini/run.sh"]
