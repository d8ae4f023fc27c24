"""Trading: bars and positions beside their definitions; a limit is passed, and kept again."""

import collections
import datetime
from decimal import Decimal

from common import Example, data_of


def check(server, _folder: str) -> list[str]:
    data = data_of("trading")
    example = Example("trading", server)
    trades = data.trades()
    example.copy("limits", data.LIMITS)
    example.copy("trades", trades[:620])
    example.alert("limit_breach", passed(data.LIMITS, trades[:620]))
    example.copy("trades", trades[620:])
    # The account sells what it should not have bought.
    last = trades[-1]
    sale = (last[0] + 1, last[1] + datetime.timedelta(seconds=1), "ACME", "alpha", "sell", f"{prices(trades)['ACME']}", 1200)
    held = positions(trades)
    if not 1200 - 350 < held["alpha", "ACME"] < 1200 + 350:
        example.problems.append(f"the data do not tell the story: alpha holds {held['alpha', 'ACME']} of ACME")
    example.dashboard("trading", 4)
    example.copy("trades", [sale])
    trades.append(sale)

    example.same("bars", "symbol, minute, open, high, low, close, volume, vwap", bars(trades))
    now, held = prices(trades), positions(trades)
    example.same(
        "positions",
        "account, symbol, quantity, price, exposure",
        [(account, symbol, n, now[symbol], n * now[symbol]) for (account, symbol), n in held.items()],
    )
    example.alert("limit_breach", passed(data.LIMITS, trades))
    if "alpha, ACME" in passed(data.LIMITS, trades[:620]) - passed(data.LIMITS, trades):
        example.resolved("limit_breach", "alpha, ACME")
    else:
        example.problems.append("the data do not tell the story: the sale does not end a breach")
    return example.problems


def passed(limits: list[tuple], trades: list[tuple]) -> set[str]:
    """Account and symbol of the limits that are passed."""
    now, held = prices(trades), positions(trades)
    return {f"{account}, {symbol}" for account, symbol, most in limits if abs(held[account, symbol] * now[symbol]) > most}


def prices(trades: list[tuple]) -> dict[str, Decimal]:
    return {trade[2]: Decimal(trade[5]) for trade in trades}


def positions(trades: list[tuple]) -> dict[tuple, int]:
    held = collections.Counter()
    for _, _, symbol, account, side, _, quantity in trades:
        held[account, symbol] += quantity if side == "buy" else -quantity
    return held


def bars(trades: list[tuple]) -> list[tuple]:
    by_bar = collections.defaultdict(list)
    for trade in trades:
        by_bar[trade[2], trade[1].replace(second=0, microsecond=0)].append((Decimal(trade[5]), trade[6]))
    rows = []
    for (symbol, minute), of in by_bar.items():
        volume = sum(n for _, n in of)
        paid = [price for price, _ in of]
        vwap = float(sum(price * n for price, n in of)) / volume
        rows.append((symbol, minute, paid[0], max(paid), min(paid), paid[-1], volume, vwap))
    return rows
