//! `portcullis mail`: letters to people.

use clap::Subcommand;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::domain::clock::Clock;
use crate::domain::ids::LetterId;
use crate::domain::letter::Letter;
use crate::domain::mailbox::Mailbox;
use crate::domain::secret::Entropy;
use crate::mail::{Mailer, Parcel, Unsent};

/// Letters to people.
#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// Sends a test letter at once, as the configuration has it, and prints what the mail server answered.
    SendTest {
        /// Where to: an address, or a name and an address such as `Ada <ada@example.org>`.
        address: String,
    },
}

/// Runs a command.
pub(crate) async fn run(context: &Context, command: &Mail) -> Result<(), Failure> {
    match command {
        Mail::SendTest { address } => send_test(context, address).await,
    }
}

/// Asks no database: it shows whether letters can be sent, and nothing else.
async fn send_test(context: &Context, address: &str) -> Result<(), Failure> {
    let to = Mailbox::parse(address).map_err(|error| Failure::usage(format!("the address {error}")))?;
    let config = context.quiet_config()?;
    let Some(mailer) = Mailer::open(&config)? else {
        let failure = Failure::configuration("mail is off");
        return Err(failure.hint("set mail.transport to \"smtp\" or, to try it out, to \"folder\""));
    };
    let now = Clock::system().now();
    let id = LetterId::generate(now, &Entropy::os());
    let letter = Letter::Test { at: now };
    let parcel = Parcel { id: &id, to: &to, letter: &letter, written_at: now };
    let answer = mailer.send(&parcel).await.map_err(failure)?;
    let sentence = format!("The letter {id} was taken: {}", visible(&answer));
    output::done(context.format, &json!({ "letter": id.as_str(), "answer": answer }), &sentence)
}

fn failure(unsent: Unsent) -> Failure {
    let failure = Failure::failed(format!("the letter was not sent: {}", unsent.reason));
    match unsent.answer {
        Some(answer) => failure.note(&format!("it answered: {}", visible(&answer))),
        None => failure,
    }
}

/// What the other side said, without what would move the cursor.
fn visible(answer: &str) -> String {
    answer.chars().map(|symbol| if symbol.is_control() { ' ' } else { symbol }).collect()
}
