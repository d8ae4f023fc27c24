"""Card fraud: each rule beside its definition; two rules open a case, a review closes it."""

import collections
import datetime
import math

from common import Example, data_of, robust_scores


def check(server, _folder: str) -> list[str]:
    data = data_of("card-fraud")
    example = Example("card-fraud", server)
    payments = data.payments()
    # Later payments of another card: time has passed, so that all before is final.
    payments.append((len(payments) + 1, "card-99", data.START + datetime.timedelta(hours=3), 20.0, 45.0, 4.0, "market"))
    example.copy("payments", payments)
    by_card = collections.defaultdict(list)
    [by_card[p[1]].append(p) for p in payments]

    rapid = collections.Counter((p[1], p[2].replace(second=0)) for p in payments)
    rapid = [(card, minute, n) for (card, minute), n in rapid.items() if n > 4]
    jumps = [leg for mine in by_card.values() for leg in legs(mine)]
    unusual = [
        (p[0], p[1], score)
        for mine in by_card.values()
        for p, score in zip(mine, robust_scores([p[3] for p in mine], 50))
        if score is not None and score >= 8
    ]
    example.same("rapid", "card, ts, payments", rapid)
    example.same("jumps", "id, card, km", jumps)
    example.same("unusual", "id, card, score", unusual)
    found = collections.defaultdict(list)
    for rule, rows in (("rapid", [r[0] for r in rapid]), ("jump", [j[1] for j in jumps]), ("unusual", [u[1] for u in unusual])):
        [found[card].append(rule) for card in rows]
    example.same("suspects", "card, findings, rules", [(card, len(rules), len(set(rules))) for card, rules in found.items()])
    cases = {card for card, rules in found.items() if len(set(rules)) >= 2}
    if cases != {"card-03", "card-17"} or "card-22" not in found:
        example.problems.append(f"the data do not tell the story: {cases} of {sorted(found)}")
    example.alert("stolen_card", cases)
    example.dashboard("card_fraud", 4)
    example.session.execute("INSERT INTO reviews VALUES ('card-03', 'ann', 'stolen')")
    example.alert("stolen_card", cases - {"card-03"})
    example.resolved("stolen_card", "card-03")
    return example.problems


def legs(payments: list[tuple]) -> list[tuple]:
    """The steps that are too fast: number, card, kilometres."""
    fast = []
    for before, after in zip(payments, payments[1:]):
        (a, b), (c, d) = map(math.radians, before[4:6]), map(math.radians, after[4:6])
        half = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
        km = 2 * 6371 * math.asin(math.sqrt(min(1.0, half)))
        hours = (after[2] - before[2]).total_seconds() / 3600
        if km > 50 and km > 1000 * hours:
            fast.append((after[0], after[1], km))
    return fast
