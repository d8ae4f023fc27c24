//! A program with the engine inside: orders come in as Arrow batches, a view keeps the totals, a task follows them.
//!
//! `cargo run -p thalweg --example embed`

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use thalweg::arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use thalweg::arrow::datatypes::Int64Type;
use thalweg::arrow::util::pretty::pretty_format_batches;
use thalweg::{SqlError, Thalweg};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout()).await
}

/// The whole program; what it has to say goes to `out`.
pub async fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let db = Thalweg::open_in_memory().await?;
    db.execute(
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, customer VARCHAR NOT NULL, amount BIGINT NOT NULL);
         CREATE MATERIALIZED VIEW totals AS
           SELECT customer, count(*) AS orders, sum(amount) AS total FROM orders GROUP BY customer;",
    )
    .await?;

    // A task of its own keeps its picture of the view by the view's changes alone, until ann has spent 100.
    let follower = tokio::spawn(follow(db.clone()));

    for batch in 0..10 {
        db.ingest("orders", orders(batch)?).await?;
    }
    db.flush().await?;

    let rows = db.query("SELECT * FROM totals ORDER BY customer").await?;
    writeln!(out, "{}", pretty_format_batches(&rows)?)?;
    let rich = db.query_with("SELECT customer FROM totals WHERE total > $1", &[&100_i64]).await?;
    let rich: usize = rich.iter().map(RecordBatch::num_rows).sum();
    writeln!(out, "{rich} customers have spent more than 100")?;

    let (epoch, totals) = follower.await??;
    writeln!(out, "followed: {totals:?}")?;

    // The follower has stopped; what happens after its last epoch is kept for whoever goes on from there.
    db.execute("DELETE FROM orders WHERE customer = 'bob'").await?;
    let mut missed = db.subscribe_after("totals", epoch).await?;
    let update = missed.next().await.ok_or("a subscription does not end")??;
    writeln!(out, "missed since then: {} change(s)", update.num_rows())?;

    db.close().await;
    Ok(())
}

/// Five orders.
fn orders(batch: i64) -> Result<RecordBatch, SqlError> {
    let ids = (batch * 5..batch * 5 + 5).collect::<Vec<_>>();
    let customers = ids.iter().map(|id| if id % 2 == 0 { "ann" } else { "bob" }).collect::<Vec<_>>();
    let amounts = ids.clone();
    let columns: [(&str, Arc<dyn thalweg::arrow::array::Array>); 3] = [
        ("id", Arc::new(Int64Array::from(ids))),
        ("customer", Arc::new(StringArray::from(customers))),
        ("amount", Arc::new(Int64Array::from(amounts))),
    ];
    RecordBatch::try_from_iter(columns).map_err(|e| thalweg::Error::from(e).into())
}

/// The totals as their changes make them, once all 50 orders are in them, and the epoch of the last change.
async fn follow(db: Thalweg) -> Result<(u64, BTreeMap<String, i64>), SqlError> {
    let mut changes = db.subscribe("totals").await?;
    let mut totals = BTreeMap::new();
    while let Some(update) = changes.next().await {
        let update = update?;
        if update.snapshot {
            totals.clear();
        }
        for delta in &update.deltas {
            let customers = delta.column(0).as_string_view();
            let sums = delta.column(2).as_primitive::<Int64Type>();
            for row in 0..delta.num_rows() {
                let customer = customers.value(row).to_owned();
                // An update takes the old total back and brings the new one, in any order.
                if delta.weight(row) > 0 {
                    totals.insert(customer, sums.value(row));
                } else if totals.get(&customer) == Some(&sums.value(row)) {
                    totals.remove(&customer);
                }
            }
        }
        if totals.values().sum::<i64>() == (0..50).sum::<i64>() {
            return Ok((update.epoch, totals));
        }
    }
    Err(SqlError::new(thalweg::SqlState::INTERNAL_ERROR, "the subscription ended"))
}
