//! The pages in a real browser.

#[cfg(test)]
mod account;
#[cfg(test)]
mod approvals;
#[cfg(test)]
mod by_mail;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod displays;
/// Ways around filters, which the guard is tried with as well.
#[cfg(test)]
#[path = "../../middleware/src/input/html/evasions.rs"]
mod evasions;
#[cfg(test)]
mod letters;
#[cfg(test)]
mod looks;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod sanitized;
#[cfg(test)]
mod second_step;
#[cfg(test)]
mod sign_outs;
#[cfg(test)]
mod sign_up;
#[cfg(test)]
mod simple;
#[cfg(test)]
mod suite;
/// Where the data of others are is found as the guard finds it.
#[cfg(test)]
#[path = "../../middleware/src/vectors.rs"]
mod vectors;
#[cfg(test)]
mod walks;

use portcullis_tests::browser::Browser;
use portcullis_tests::visitor::Person;

/// Signs somebody in on the page that is open.
async fn sign_in(browser: &Browser, person: &Person) {
    browser.fill("username", &person.username).await;
    browser.fill("password", &person.password).await;
    browser.click("submit").await;
}
