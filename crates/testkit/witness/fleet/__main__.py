"""Asks a house for every row of Commissaire's interface, as its clients do: with requests.

    python fleet HTTPS_URL ADMINISTRATOR CA HTTP_URL

The URLs end with /api/v0; ADMINISTRATOR is a file with a key and a certificate, CA what the server is
verified with. The house has nothing but its network `default`. Sections are those of the commissaire
contract. Every check that fails is a line of standard output; the last line says how many held.
"""

import sys

from client import Client, Score
from clusters import clusters, managed, membership, operations
from definitions import definitions
from hosts import hosts
from rules import bodies, enormous, old_clients, routes, strangers


def main():
    url, administrator, ca, plain = sys.argv[1:]
    admin, stranger, near = Client(url, administrator, ca), Client(url, None, ca), Client(plain)
    for part, clients in [
        (strangers, [stranger, near]),
        (routes, [admin]),
        (bodies, [admin]),
        (lambda client: old_clients(client, administrator, ca), [admin]),
        (hosts, [admin]),
        (clusters, [admin]),
        (membership, [admin]),
        (managed, [admin]),
        (operations, [admin]),
        (definitions, [admin]),
        (enormous, [admin]),
    ]:
        Score.section = part.__name__
        part(*clients)
    Score.section = "in the end"
    for path, left in [
        ("/hosts", []),
        ("/clusters", []),
        ("/containermanagers", []),
        ("/networks", ["default"]),
    ]:
        admin.says("GET", path, None, 200, left)
    print(f"{Score.held} of {Score.held + Score.failed} held")
    sys.exit(Score.failed > 0)


main()
