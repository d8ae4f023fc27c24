"""Customer analytics: funnel, visits and revenue beside their definitions, unique users within the bound of the sketch."""

import collections
import datetime
import statistics
from decimal import Decimal

from common import Example, data_of, sessions


def check(server, _folder: str) -> list[str]:
    data = data_of("customer-analytics")
    example = Example("customer-analytics", server)
    clicks = data.clicks()
    broken = [click for click in clicks if (click[1] - data.START).total_seconds() <= data.MENDED]
    example.copy("clicks", broken)
    example.alert("checkout", {"shop"})
    example.copy("clicks", clicks[len(broken) :])
    example.alert("checkout", set())
    example.resolved("checkout", "shop")

    by_user = collections.defaultdict(list)
    [by_user[click[2]].append(click) for click in clicks]
    ways = [way(mine) for mine in by_user.values()]
    took = [(bought - seen).total_seconds() for seen, _, bought in ways if bought]
    counts = (len(ways), sum(1 for w in ways if w[1]), sum(1 for w in ways if w[2]), statistics.fmean(took))
    example.same("funnel", "seen, in_cart, bought, seconds_to_buy", [counts])
    gap = datetime.timedelta(minutes=30)
    visits = []
    for user, mine in by_user.items():
        for began, ended, n in sessions([click[1] for click in mine], gap):
            mine_then = [click for click in mine if began <= click[1] < ended]
            spent = [Decimal(click[5]) for click in mine_then if click[5]]
            visits.append((user, began, ended, n, len({click[3] for click in mine_then}), sum(spent) if spent else None))
    example.same("visits", "user_id, began, ended, clicks, pages, spent", visits)
    hours = collections.defaultdict(list)
    [hours[click[1].replace(minute=0, second=0)].append(click) for click in clicks]
    revenue = {hour: [Decimal(c[5]) for c in of if c[5]] for hour, of in hours.items()}
    example.same("hours", "hour, revenue", [(hour, sum(paid) if paid else None) for hour, paid in revenue.items()])
    for hour, users in example.rows("SELECT hour, sketch_estimate(users) FROM hours"):
        within(example, f"users of {hour}", users, len({click[2] for click in hours[hour]}))
    [(users,)] = example.rows("SELECT sketch_estimate(users) FROM days")
    within(example, "users of the day", users, len(by_user))
    views = collections.Counter(click[3] for click in clicks if click[4] == "view")
    example.same("top_pages", "page, views", sorted(views.items(), key=lambda page: (-page[1], page[0]))[:5])
    example.dashboard("customer_analytics", 4)
    return example.problems


def way(clicks: list[tuple]) -> tuple:
    """When a user had seen something, put it into the cart after that, and bought after that."""
    at = lambda action: [click[1] for click in clicks if click[4] == action]  # noqa: E731
    seen = min(at("view"))
    in_cart = min(at("cart"), default=None)
    bought = max(at("buy"), default=None)
    if in_cart is None or in_cart < seen:
        return seen, None, None
    return seen, in_cart, bought if bought is not None and bought >= in_cart else None


def within(example: Example, what: str, found: float, exact: int) -> None:
    """Three standard deviations of a sketch of 4,096 registers."""
    if abs(float(found) - exact) > 3 * 1.04 / 64 * exact:
        example.problems.append(f"{what}: {found}, exactly {exact}")
