{{ config(materialized='view') }}
SELECT id, amount FROM {{ source('shop', 'purchase') }} WHERE amount > 1
