//! What a request costs, the table of it, and what it is held to.

use std::fmt;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use tower::{Service, ServiceExt};

use crate::thread_time;

/// Figures by name, one a round, in the order in which they came up.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<(String, Vec<f64>)>,
    goals: Vec<Goal>,
}

/// What a figure may be at most, and how that was reckoned.
struct Goal {
    what: String,
    is: f64,
    at_most: f64,
    reckoning: String,
}

impl Table {
    pub(crate) fn add(&mut self, name: &str, figure: f64) {
        match self.rows.iter_mut().find(|(known, _)| known == name) {
            Some((_, rounds)) => rounds.push(figure),
            None => self.rows.push((name.to_owned(), vec![figure])),
        }
    }

    /// The middle round.
    pub(crate) fn median(&self, name: &str) -> f64 {
        let row = self.rows.iter().find(|(known, _)| known == name);
        row.map_or(f64::NAN, |(_, rounds)| sorted(rounds)[rounds.len() / 2])
    }

    /// The middle of what a figure is in another one, round by round: what else the machine does weighs on both.
    pub(crate) fn ratio(&self, name: &str, other: &str) -> f64 {
        let rounds = |name: &str| self.rows.iter().find(|(known, _)| known == name).map(|(_, rounds)| rounds);
        let (Some(ones), Some(others)) = (rounds(name), rounds(other)) else { return f64::NAN };
        let ratios: Vec<_> = ones.iter().zip(others).map(|(one, other)| one / other).collect();
        sorted(&ratios)[ratios.len() / 2]
    }

    /// Holds a figure to a bound.
    pub(crate) fn hold(&mut self, what: &str, is: f64, at_most: f64, reckoning: &str) {
        let (what, reckoning) = (what.to_owned(), reckoning.to_owned());
        self.goals.push(Goal { what, is, at_most, reckoning });
    }
}

fn sorted(rounds: &[f64]) -> Vec<f64> {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{:<66} {:>9} {:>9} {:>9}", "", "median", "least", "most")?;
        for (name, rounds) in &self.rows {
            let sorted = sorted(rounds);
            let (median, least, most) = (sorted[sorted.len() / 2], sorted[0], sorted[sorted.len() - 1]);
            writeln!(out, "{name:<66} {median:>9.2} {least:>9.2} {most:>9.2}")?;
        }
        writeln!(out)?;
        for Goal { what, is, at_most, reckoning } in &self.goals {
            let verdict = if is <= at_most { "met" } else { "MISSED" };
            writeln!(out, "{verdict:<6} {what}: {is:.3}, at most {at_most:.3} ({reckoning})")?;
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
    of_status(service, count, StatusCode::OK, make).await
}

/// The same of requests that are answered with another status.
pub(crate) async fn of_status<S, R>(
    service: &S,
    count: usize,
    status: StatusCode,
    make: impl Fn(usize) -> Request<Body>,
) -> f64
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
{
    let requests: Vec<_> = (0..count).map(make).collect();
    let before = thread_time::used();
    answer(service, requests, status).await;
    (thread_time::used() - before).as_secs_f64() * 1e6 / count as f64
}

/// Has requests answered, one after the other, and looks at the status of each answer.
pub(crate) async fn answer<S, R>(service: &S, requests: Vec<Request<Body>>, status: StatusCode)
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
{
    for request in requests {
        let answer = service.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), status);
    }
}
