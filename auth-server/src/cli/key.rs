//! `portcullis key`: the signing keys.

use crate::cli::args::Key;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::audit::Actor;
use crate::domain::signing::SigningAlg;
use crate::keys::chain::{KeyState, KeySummary};
use crate::keys::ring::KeyRing;
use crate::keys::rotate::Urgency;

pub(crate) async fn run(context: &Context, command: &Key) -> Result<(), Failure> {
    let algs = match command {
        Key::List | Key::Revoke { .. } | Key::Rotate { alg: None, .. } => SigningAlg::ALL.to_vec(),
        Key::Rotate { alg: Some(name), .. } => {
            vec![name.parse().map_err(|error| Failure::usage(format!("--alg {name}: {error}")))?]
        }
    };
    let app = context.existing_app().await?;
    match command {
        Key::List => {}
        Key::Revoke { kid } => {
            app.keys().withdraw(kid, Actor::Operator).await.map_err(Failure::failed)?;
        }
        Key::Rotate { urgent, .. } => {
            let urgency = if *urgent { Urgency::Urgent } else { Urgency::Orderly };
            for alg in algs {
                app.keys().rotate(alg, urgency, Actor::Operator).await.map_err(Failure::failed)?;
            }
        }
    }
    print(context, app.keys())
}

fn print(context: &Context, keys: &KeyRing) -> Result<(), Failure> {
    let keys = keys.list();
    let rows = keys.iter().map(|key| {
        let until = key.signs_until.clone().unwrap_or_default();
        [key.kid.clone(), key.alg.to_string(), state(key).to_owned(), key.signs_from.clone(), until]
    });
    let table = Table::new(["KID", "ALG", "STATE", "SIGNS FROM", "SIGNS UNTIL"], rows);
    output::print(context.format, &keys, &table)
}

const fn state(key: &KeySummary) -> &'static str {
    match key.state {
        KeyState::Next => "next",
        KeyState::Retired => "retired",
        KeyState::Signing => "signing",
    }
}
