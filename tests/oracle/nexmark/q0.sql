-- Pass-through: what reading and writing alone cost.
SELECT auction, bidder, price, date_time, extra
FROM bid;
