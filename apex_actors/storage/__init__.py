"""What is kept: PostgreSQL for everything durable, Redis or Valkey for what can be made again.

Repositories and writes in the words of the domain; the SQL stands in ``queries`` and
``migrations``. Knows the wire's models and the cost domain's values; must not know runs' order of
work, agents or sockets.

Nothing is handed on here: whoever only starts the embedded servers or migrates a database shall
not load the cost domain. Import from the modules, one noun each.
"""

__all__: list[str] = []
