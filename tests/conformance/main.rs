//! The server against the texts of its specifications: one file for each, and the section in the name of each test.

#[cfg(test)]
mod advertised;
#[cfg(test)]
mod ciba_core;
#[cfg(test)]
mod ciba_core_clients;
#[cfg(test)]
mod ciba_core_people;
#[cfg(test)]
mod ciba_core_ping;
#[cfg(test)]
mod ciba_core_registered;
#[cfg(test)]
mod ciba_core_tokens;
#[cfg(test)]
mod client_id_metadata_attacks;
#[cfg(test)]
mod client_id_metadata_document;
#[cfg(test)]
mod client_id_metadata_names;
#[cfg(test)]
mod client_id_metadata_refused;
#[cfg(test)]
mod client_logos;
#[cfg(test)]
mod document_scene;
#[cfg(test)]
mod fapi2_security_profile;
#[cfg(test)]
mod form_post;
#[cfg(test)]
mod jarm;
#[cfg(test)]
mod mcp_authorization;
#[cfg(test)]
mod multiple_response_types;
#[cfg(test)]
mod oauth21;
#[cfg(test)]
mod oauth21_refused;
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
mod oidc_core_refused;
#[cfg(test)]
mod oidc_core_tokens;
#[cfg(test)]
mod oidc_core_userinfo;
#[cfg(test)]
mod oidc_discovery;
#[cfg(test)]
mod oidc_prompt_create;
#[cfg(test)]
mod oidc_registration;
#[cfg(test)]
mod oidc_registration_signing;
#[cfg(test)]
mod oidc_rp_initiated_logout;
#[cfg(test)]
mod resource;
#[cfg(test)]
mod rfc6749;
#[cfg(test)]
mod rfc6749_authorization;
#[cfg(test)]
mod rfc6749_token;
#[cfg(test)]
mod rfc6750;
#[cfg(test)]
mod rfc7009;
#[cfg(test)]
mod rfc7519;
#[cfg(test)]
mod rfc7521;
#[cfg(test)]
mod rfc7523;
#[cfg(test)]
mod rfc7523_algorithms;
#[cfg(test)]
mod rfc7523_clients;
#[cfg(test)]
mod rfc7591;
#[cfg(test)]
mod rfc7591_members;
#[cfg(test)]
mod rfc7591_refused;
#[cfg(test)]
mod rfc7591_spared;
#[cfg(test)]
mod rfc7592;
#[cfg(test)]
mod rfc7592_bounds;
#[cfg(test)]
mod rfc7636;
#[cfg(test)]
mod rfc7662;
#[cfg(test)]
mod rfc8252;
#[cfg(test)]
mod rfc8414;
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
mod rfc8707;
#[cfg(test)]
mod rfc8725;
#[cfg(test)]
mod rfc8725_resource;
#[cfg(test)]
mod rfc9068;
#[cfg(test)]
mod rfc9068_algorithms;
#[cfg(test)]
mod rfc9068_resource;
#[cfg(test)]
mod rfc9101;
#[cfg(test)]
mod rfc9126;
#[cfg(test)]
mod rfc9126_audience;
mod rfc9126_handles;
#[cfg(test)]
mod rfc9207;
#[cfg(test)]
mod rfc9396;
#[cfg(test)]
mod rfc9396_scene;
#[cfg(test)]
mod rfc9396_tokens;
#[cfg(test)]
mod rfc9440;
#[cfg(test)]
mod rfc9449;
#[cfg(test)]
mod rfc9470;
#[cfg(test)]
mod rfc9700;
#[cfg(test)]
mod rfc9700_refused;
#[cfg(test)]
mod rfc9700_resource;
#[cfg(test)]
mod rfc9701;
#[cfg(test)]
mod rfc9728;
#[cfg(test)]
mod sign_out_scene;
#[cfg(test)]
mod signed_in;
