SELECT max(total) AS total FROM {{ ref('spent') }}
