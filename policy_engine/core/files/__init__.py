"""Opens, writes and replaces files safely."""
