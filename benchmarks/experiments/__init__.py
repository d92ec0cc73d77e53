"""What the method claims, measured on generated clicks whose makers are known."""
