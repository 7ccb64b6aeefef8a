"""Servers besides the endpoint that know something of it, each read by one small module."""
