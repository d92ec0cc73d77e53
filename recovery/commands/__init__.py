"""Commands that change what stands in production or what was decided."""
