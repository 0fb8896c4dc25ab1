//! Why tokens are not exchanged.

/// Why tokens are not exchanged. The client hears `invalid_request` for each of them (RFC 8693 §2.2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("the actor is the subject")]
    ActorIsSubject,
    #[error("actor_token and actor_token_type come together")]
    ActorType,
    #[error("the actor is not the one whom may_act names")]
    ActorUnwanted,
    /// Whoever exchanged it could pass its binding by.
    #[error("a token is bound to a key")]
    Bound,
    #[error("too many acted before")]
    Chain,
    #[error("a token is neither the client's own nor for the API that it serves")]
    NotConcerned,
    #[error("a token is unknown, expired or revoked")]
    NotLive,
    #[error("the subject token speaks for no user")]
    NoUser,
    #[error("an actor token that somebody acts with itself")]
    SecondHand,
    #[error("a kind of token that is not exchanged")]
    TokenType,
}

impl ExchangeError {
    /// What the client is told: nothing about tokens that are not its business.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::ActorIsSubject => "the actor_token speaks for the subject itself",
            Self::ActorType => "actor_token and actor_token_type come together or not at all",
            Self::ActorUnwanted => "the subject_token does not let this actor act",
            Self::Bound => "a token that is bound to a key is not exchanged",
            Self::Chain => "the subject_token went through too many hands",
            Self::NotConcerned | Self::NotLive => "subject_token or actor_token is not valid here",
            Self::NoUser => "the subject_token speaks for no user",
            Self::SecondHand => "the actor_token is one that somebody acts with",
            Self::TokenType => "only access tokens of this server are exchanged, and for access tokens only",
        }
    }
}
