"""Runs a program that is not Python on a server of its own; `URL`, `HOST` and `PORT` in its arguments are filled in.

usage: run_with_server.py PROGRAM ARGUMENT …
"""

import subprocess
import sys

from harness import Server

server = Server()
try:
    arguments = [a.replace("URL", server.url).replace("HOST", server.host).replace("PORT", str(server.port)) for a in sys.argv[1:]]
    code = subprocess.run(arguments, timeout=300).returncode
finally:
    ended = server.stop()
if ended != 0:
    print(f"the server ended with code {ended}\n{server.said()}", file=sys.stderr)
sys.exit(code or ended)
