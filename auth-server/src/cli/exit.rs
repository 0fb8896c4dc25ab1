//! How a command ends: what it says, and the exit code.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::process::ExitCode;

use crate::app::StartError;
use crate::app::gateway::GatewayError;
use crate::config::ConfigErrors;
use crate::mail::BadMail;
use crate::services::admin_error::AdminError;
use crate::services::provision::ProvisionError;
use crate::services::setup::SetupError;
use crate::storage::StoreError;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    message: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Code {
    Failed = 1,
    Usage = 2,
    Configuration = 3,
    NotReachable = 4,
}

impl Failure {
    /// Something went wrong on the way.
    pub(crate) fn failed(error: impl fmt::Display) -> Self {
        Self { code: Code::Failed, message: error.to_string() }
    }

    /// The command cannot be understood.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: Code::Usage, message: message.into() }
    }

    /// The configuration does not say what the command needs.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self { code: Code::Configuration, message: message.into() }
    }

    /// The same failure with a way on.
    pub(crate) fn hint(mut self, way: &str) -> Self {
        _ = write!(self.message, "\n  hint: {way}");
        self
    }

    /// The same failure with what is so nevertheless.
    pub(crate) fn note(mut self, fact: &str) -> Self {
        _ = write!(self.message, "\n  note: {fact}");
        self
    }

    /// Writes the reason to standard error and returns the exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("portcullis: {}", self.message);
        ExitCode::from(self.code as u8)
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self { code: Code::Configuration, message: errors.to_string() }
    }
}

impl From<BadMail> for Failure {
    fn from(error: BadMail) -> Self {
        Self { code: Code::Configuration, message: error.to_string() }
    }
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self { code: Code::Configuration, message: with_causes(&error) }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Store(error) => error.into(),
            other => Self { code: Code::Failed, message: with_causes(&other) },
        }
    }
}

impl From<ProvisionError> for Failure {
    fn from(error: ProvisionError) -> Self {
        match error {
            ProvisionError::Part(error) => error.into(),
            other => Self::failed(other),
        }
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Failed(error) => error.into(),
            other => Self { code: Code::Failed, message: with_causes(&other) },
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let away = matches!(error, StoreError::Unavailable { .. });
        let code = if away { Code::NotReachable } else { Code::Failed };
        Self { code, message: with_causes(&error) }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let code = match &error {
            StartError::Audience(_)
            | StartError::Authorities(_)
            | StartError::DatabaseLost { .. }
            | StartError::Mail(_)
            | StartError::MasterKey(_)
            | StartError::Outbound(_)
            | StartError::OtherMasterKey(_)
            | StartError::Tls(_) => Code::Configuration,
            StartError::DatabaseAway { .. } => Code::NotReachable,
            StartError::Administration(_)
            | StartError::Description(_)
            | StartError::Front(_)
            | StartError::Guard(_)
            | StartError::Keys(_)
            | StartError::Proofs(_)
            | StartError::Store(_) => Code::Failed,
        };
        Self { code, message: with_causes(&error) }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            _ = write!(text, "\n  because: {said}");
        }
        next = cause.source();
    }
    text
}
