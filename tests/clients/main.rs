//! Clients that are none of ours: programs written with other people's libraries, and Apache's modules, against the real program.

#[cfg(test)]
mod authlib;
#[cfg(test)]
mod features;
#[cfg(test)]
mod ground;
#[cfg(test)]
mod openid_client;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod program;
