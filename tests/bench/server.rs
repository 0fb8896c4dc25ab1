//! What the sign-in server costs.
