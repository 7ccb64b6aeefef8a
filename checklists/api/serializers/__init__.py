"""How things look from outside, one module for each concept. No writing happens here: services do that."""
