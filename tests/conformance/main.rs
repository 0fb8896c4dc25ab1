//! The server against the texts of its specifications: one file for each, and the section in the name of each test.

#[cfg(test)]
mod ciba_core;
#[cfg(test)]
mod ciba_core_clients;
#[cfg(test)]
mod ciba_core_people;
#[cfg(test)]
mod ciba_core_ping;
#[cfg(test)]
mod ciba_core_tokens;
#[cfg(test)]
mod form_post;
#[cfg(test)]
mod jarm;
#[cfg(test)]
mod oidc_backchannel_answers;
#[cfg(test)]
mod oidc_backchannel_logout;
#[cfg(test)]
mod oidc_core;
#[cfg(test)]
mod oidc_core_claims;
#[cfg(test)]
mod oidc_core_claims_parameter;
#[cfg(test)]
mod oidc_core_client_keys;
#[cfg(test)]
mod oidc_core_pairwise;
#[cfg(test)]
mod oidc_core_parameters;
#[cfg(test)]
mod oidc_core_userinfo;
#[cfg(test)]
mod oidc_rp_initiated_logout;
#[cfg(test)]
mod rfc7523;
#[cfg(test)]
mod rfc7523_clients;
#[cfg(test)]
mod rfc8628;
#[cfg(test)]
mod rfc8628_people;
#[cfg(test)]
mod rfc8693;
#[cfg(test)]
mod rfc8693_bounds;
#[cfg(test)]
mod rfc8705;
#[cfg(test)]
mod rfc9101;
#[cfg(test)]
mod rfc9126;
#[cfg(test)]
mod rfc9449;
#[cfg(test)]
mod sign_out_scene;
