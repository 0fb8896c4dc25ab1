//! What a request costs, and the table of it.

use std::collections::BTreeMap;
use std::fmt;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use tower::{Service, ServiceExt};

use crate::cpu;

/// Figures by name, one a round.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<String, Vec<f64>>);

impl Table {
    pub(crate) fn add(&mut self, name: &str, micros: f64) {
        self.0.entry(name.to_owned()).or_default().push(micros);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{:<64} {:>9} {:>9} {:>9}",
            "CPU us that a request costs more than bare", "median", "least", "most"
        )?;
        for (name, rounds) in &self.0 {
            let mut sorted = rounds.clone();
            sorted.sort_by(f64::total_cmp);
            let (median, least, most) = (sorted[sorted.len() / 2], sorted[0], sorted[sorted.len() - 1]);
            writeln!(out, "{name:<64} {median:>9.2} {least:>9.2} {most:>9.2}")?;
        }
        Ok(())
    }
}

/// The CPU microseconds of one request. All are made before, and every one has to be answered 200.
pub(crate) async fn of<S, R>(service: &S, count: usize, make: impl Fn(usize) -> Request<Body>) -> f64
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
{
    let requests: Vec<_> = (0..count).map(make).collect();
    let before = cpu::of_this_thread();
    for request in requests {
        let answer = service.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    }
    (cpu::of_this_thread() - before).as_secs_f64() * 1e6 / count as f64
}
