FROM python:3.13-slim
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir -e . && useradd --system --create-home preflight && install -d -o preflight /data
USER preflight
ENV PREFLIGHT_DATA_DIR=/data PYTHONUNBUFFERED=1
EXPOSE 8000
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "--workers", "4", "--worker-class", "gthread", "--threads", "4", "portal.wsgi"]
