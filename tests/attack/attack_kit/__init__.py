"""What the attacks are made with: raw bytes, forged tokens, and a node that is watched.

Nothing here uses the server's own code to speak: what it says is read by a parser of its own.
"""
