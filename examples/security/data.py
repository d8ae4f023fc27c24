"""The log of a gateway over twenty minutes, by a seed: people log in, two addresses guess passwords, one scans ports.

usage: data.py >> FOLDER/gateway.log
"""

import datetime
import random

START = datetime.datetime(2024, 3, 1, 10, 0)


def lines(seed: int = 7) -> list[str]:
    chance = random.Random(seed)
    rows = []

    def say(second: float, text: str) -> None:
        at = START + datetime.timedelta(seconds=int(second))
        rows.append((second, f"{at:%Y-%m-%dT%H:%M:%SZ} gw1 {text}"))

    def login(second: float, done: str, user: str, address: str) -> None:
        say(second, f"sshd[{chance.randrange(100, 999)}]: {done} password for {user} from {address} port {chance.randrange(40000, 60000)}")

    for n in range(300):
        second, user = chance.uniform(0, 1200), chance.choice(["ann", "bob", "eve", "kim"])
        address = f"192.0.2.{chance.randrange(10, 40)}"
        # People mistype.
        if chance.random() < 0.1:
            login(second - 2, "Failed", user, address)
        login(second, "Accepted", user, address)
    for i in range(40):
        login(301 + i * 1.2, "Failed", chance.choice(["root", "admin", "test"]), "198.51.100.7")
    for i in range(15):
        login(722 + i * 2, "Failed", "root", "198.51.100.99")
    login(770, "Accepted", "root", "198.51.100.99")
    for port in range(20, 70):
        say(902 + port / 2, f"kernel: DROP SRC=203.0.113.9 DST=192.0.2.1 DPT={port}")
    for n in range(60):
        say(chance.uniform(0, 1200), f"kernel: DROP SRC=203.0.113.{n + 20} DST=192.0.2.1 DPT={chance.choice([23, 80, 445])}")
    say(600, 'cron: (root) CMD ("/usr/bin/rotate")')
    return [text for _, text in sorted(rows)]


if __name__ == "__main__":
    print("\n".join(lines()))
