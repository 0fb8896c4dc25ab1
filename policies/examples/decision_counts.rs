//! Makes so many decisions under so many rules, and prints how often they allocated.
//!
//! Run it under `valgrind --tool=callgrind` with two numbers of decisions: what the second run executes more is what the
//! decisions between them cost, whatever the rest of the program does.
//!
//! ```text
//! cargo run -p portcullis-policy --example decision_counts -- 100000 8000
//! ```

#[path = "../tests/workload/mod.rs"]
mod workload;

use std::error::Error;
use std::hint::black_box;

use allocation_counter::measure;
use portcullis_policy::Snapshot;

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<u32> =
        std::env::args().skip(1).map(|number| number.parse()).collect::<Result<_, _>>()?;
    let &[rules, decisions] = numbers.as_slice() else {
        return Err("usage: decision_counts RULES DECISIONS".into());
    };
    let snapshot = Snapshot::compile(&workload::source(rules), 1)?;
    let kinds = workload::kinds(rules);
    let questions: Vec<_> =
        kinds.iter().flat_map(|kind| kind.questions.iter().map(|question| (kind.name, question))).collect();
    let mut wrong = None;
    let counted = measure(|| {
        for (name, question) in questions.iter().cycle().take(decisions as usize) {
            if !black_box(question).is_answered_by(&snapshot) {
                wrong = Some(*name);
            }
        }
    });
    if let Some(name) = wrong {
        return Err(format!("not decided as expected: {name}").into());
    }
    println!("{}", counted.count_total);
    Ok(())
}
