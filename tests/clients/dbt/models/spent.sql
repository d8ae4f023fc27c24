SELECT customer, count(*) AS purchases, sum(amount) AS total FROM {{ source('shop', 'purchase') }} GROUP BY customer
