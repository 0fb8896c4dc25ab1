//! Clients that are none of ours: programs written with other people's libraries, and Apache's modules, against the real program.

#[cfg(test)]
mod apache;
#[cfg(test)]
mod authlib;
#[cfg(test)]
mod features;
#[cfg(test)]
mod ground;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod mod_auth_openidc;
#[cfg(test)]
mod mod_oauth2;
#[cfg(test)]
mod oidc_client_ts;
#[cfg(test)]
mod openid_client;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod program;
