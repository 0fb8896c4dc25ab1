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

use crate::workload::Question;

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<u32> =
        std::env::args().skip(1).map(|number| number.parse()).collect::<Result<_, _>>()?;
    let &[rules, decisions] = numbers.as_slice() else {
        return Err("usage: decision_counts RULES DECISIONS".into());
    };
    let snapshot = Snapshot::compile(&workload::source(rules), 1)?;
    let kinds = workload::kinds(rules);
    let questions: Vec<&Question> = kinds.iter().flat_map(|kind| &kind.questions).collect();
    let mut wrong = 0;
    let counted = measure(|| {
        for question in questions.iter().cycle().take(decisions as usize) {
            wrong += u32::from(!black_box(question).is_answered_by(&snapshot));
        }
    });
    if wrong > 0 {
        return Err(format!("{wrong} decisions are not the expected ones").into());
    }
    println!("{}", counted.count_total);
    Ok(())
}
