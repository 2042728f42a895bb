"""Takes addresses apart: host, path, signature, file name."""
