//! The real program: several at once, killed, stopped, and started on things that are wrong.

#[cfg(test)]
mod activation;
#[cfg(test)]
mod authzen;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod check;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod cold_start;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod cutoff;
#[cfg(test)]
mod details;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod distribution;
#[cfg(test)]
mod effects;
#[cfg(test)]
mod example;
#[cfg(test)]
mod floods;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod graphql;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod guard_walk;
#[cfg(test)]
mod import;
mod instructions;
#[cfg(test)]
mod invitations;
#[cfg(test)]
mod later;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod mcp_walk;
#[cfg(test)]
mod multi_issuer;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod registration;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod second_step;
#[cfg(test)]
mod sign_outs;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod snippets;
#[cfg(test)]
mod start;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod walk;
#[cfg(test)]
mod webapp;
