-- Processing-time windows: how many bids a bidder made in each 10 seconds of our own clock.
SELECT bidder, count(*) AS bid_count
FROM bid
GROUP BY bidder;
