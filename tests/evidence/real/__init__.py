"""Probes at real servers that the tests start on loopback: LiteLLM, llama-cpp-python, Prometheus, Alertmanager."""
