"""The reference, page by page: each module makes one from the code that it is about."""
