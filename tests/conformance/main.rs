//! The server against the texts of its specifications: one file for each, and the section in the name of each test.

#[cfg(test)]
mod form_post;
#[cfg(test)]
mod jarm;
#[cfg(test)]
mod oidc_core;
#[cfg(test)]
mod oidc_core_claims;
#[cfg(test)]
mod oidc_core_claims_parameter;
#[cfg(test)]
mod oidc_core_pairwise;
#[cfg(test)]
mod oidc_core_parameters;
#[cfg(test)]
mod oidc_core_userinfo;
#[cfg(test)]
mod rfc9101;
#[cfg(test)]
mod rfc9126;
