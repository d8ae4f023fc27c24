//! Golden plans: what EXPLAIN prints for every Nexmark query. A plan that changes is looked at before it is accepted:
//! `UPDATE_GOLDEN=1 cargo test -p thalweg --test explain` rewrites `tests/explain`.

use std::collections::BTreeMap;
use std::path::Path;

use thalweg::Pipeline;

#[test]
fn plans_are_as_they_were_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut scripts: Vec<_> = std::fs::read_dir(root.join("examples/nexmark"))
        .expect("examples/nexmark")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "sql"))
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 21, "every query is there");
    let mut changed = Vec::new();
    for script in scripts {
        let text = std::fs::read_to_string(&script).expect("a script");
        let values = BTreeMap::from([("NEXMARK".to_owned(), "data".to_owned())]);
        let pipeline = Pipeline::compile(&text, values).expect("the examples are right");
        let plan = pipeline.explain();
        let name = script.file_stem().expect("a name").to_string_lossy().into_owned();
        let golden = root.join("tests/explain").join(format!("{name}.txt"));
        if update {
            std::fs::write(&golden, &plan).expect("tests/explain can be written");
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != plan {
            changed.push(format!("{name}:\n{plan}"));
        }
    }
    assert!(changed.is_empty(), "these plans changed:\n{}", changed.join("\n"));
}
