//! PostgreSQL's functions about the database and the session, as one session sees them. It must not know plans.

mod arrays;
mod call;
mod clock;
mod describe;
mod objects;
mod rights;
mod session;
mod sizes;
mod text;
mod told;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::scope::Scope;
use call::Entry;

pub(super) use arrays::{ARRAY_OR_EMPTY, ARRAY_TEXT, ORDINALS, SUBSCRIPT};
pub(super) use objects::Named;

fn entries() -> impl Iterator<Item = &'static Entry> {
    let tables: [&'static [Entry]; 7] = [
        session::ENTRIES,
        describe::ENTRIES,
        objects::ENTRIES,
        rights::ENTRIES,
        sizes::ENTRIES,
        text::ENTRIES,
        arrays::ENTRIES,
    ];
    tables.into_iter().flatten()
}

/// All of them.
pub(super) fn functions(scope: &Arc<Scope>) -> Vec<Arc<ScalarUDF>> {
    let told = entries().map(|entry| Arc::new(told::function(entry, Arc::clone(scope))));
    told.chain([Arc::new(clock::now())]).collect()
}

/// Names, numbers of arguments and types of what users may call.
pub(super) fn signatures() -> impl Iterator<Item = (&'static str, usize, &'static str)> {
    let public = entries().filter(|entry| !entry.name.starts_with("__"));
    public.map(|entry| (entry.name, *entry.arguments.start(), entry.returns.name()))
}
