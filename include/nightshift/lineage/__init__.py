"""From a version back to the bytes, the code, the parameters and the persons behind it."""
