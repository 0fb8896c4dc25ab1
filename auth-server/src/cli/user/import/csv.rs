//! Accounts in lines, each below the names of its columns.

use std::collections::HashSet;

use crate::cli::user::import::Brought;
use crate::domain::profile::{AddressField, ProfileField};
use crate::services::users::form::UserForm;
use crate::services::users::import::{BroughtAccount, LeftOut};
use crate::services::users::profile::ProfileForm;

const OWN: [&str; 6] = ["username", "name", "email", "email_verified", "enabled", "password_hash"];

/// What a column is.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Column {
    Username,
    Name,
    Email,
    EmailVerified,
    Enabled,
    PasswordHash,
    /// A claim, by its name.
    Claim(String),
}

pub(super) fn read(text: &str) -> Result<Brought, String> {
    // Spreadsheets begin their files with a mark that is no part of the first name.
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| fault(&error))?.clone();
    let mut names = HashSet::new();
    if let Some(twice) = header.iter().find(|name| !names.insert(*name)) {
        return Err(format!("the column {twice} is there twice"));
    }
    let columns: Vec<Column> = header.iter().map(column).collect::<Result<_, _>>()?;
    if !columns.contains(&Column::Username) {
        return Err("the first line has to name the columns, and `username` among them".to_owned());
    }
    let mut brought = Brought::default();
    for record in reader.records() {
        let record = record.map_err(|error| fault(&error))?;
        let place = format!("line {}", record.position().map_or(0, csv::Position::line));
        let mut account = blank(place.clone());
        match cells(&columns, &record).and_then(|said| fill(&mut account, said)) {
            Ok(()) => brought.accounts.push(account),
            Err(reason) => {
                brought.unreadable.push(LeftOut { place, username: account.form.username, reason });
            }
        }
    }
    Ok(brought)
}

fn column(name: &str) -> Result<Column, String> {
    let claims = || {
        let address = AddressField::ALL.map(|field| format!("address.{}", field.as_str()));
        ProfileField::ALL.map(|field| field.as_str().to_owned()).into_iter().chain(address)
    };
    Ok(match name {
        "username" => Column::Username,
        "name" => Column::Name,
        "email" => Column::Email,
        "email_verified" => Column::EmailVerified,
        "enabled" => Column::Enabled,
        "password_hash" => Column::PasswordHash,
        claim if claims().any(|known| known == claim) => Column::Claim(claim.to_owned()),
        _ => {
            let known: Vec<String> = OWN.map(str::to_owned).into_iter().chain(claims()).collect();
            return Err(format!("the column {name:?} is none of {}", known.join(", ")));
        }
    })
}

/// What the cells say that say something.
fn cells<'a>(
    columns: &'a [Column],
    record: &'a csv::StringRecord,
) -> Result<Vec<(&'a Column, &'a str)>, String> {
    if record.len() != columns.len() {
        return Err(format!("cells in the line: {}, columns: {}", record.len(), columns.len()));
    }
    Ok(columns.iter().zip(record).filter(|(_, cell)| !cell.is_empty()).collect())
}

fn blank(place: String) -> BroughtAccount {
    let form = UserForm::default();
    BroughtAccount { place, form, hash: None, email_verified: false, enabled: true }
}

fn fill(account: &mut BroughtAccount, said: Vec<(&Column, &str)>) -> Result<(), String> {
    let mut profile = ProfileForm::default();
    for (column, cell) in said {
        match column {
            Column::Username => cell.clone_into(&mut account.form.username),
            Column::Name => cell.clone_into(&mut account.form.name),
            Column::Email => account.form.email = Some(cell.to_owned()),
            Column::EmailVerified => account.email_verified = truth("email_verified", cell)?,
            Column::Enabled => account.enabled = truth("enabled", cell)?,
            Column::PasswordHash => account.hash = Some(cell.to_owned()),
            Column::Claim(name) => {
                profile.add(&format!("{name}={cell}")).map_err(|error| format!("{name}: {error}"))?;
            }
        }
    }
    account.form.profile = profile;
    Ok(())
}

fn truth(column: &str, cell: &str) -> Result<bool, String> {
    match cell.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(format!("{column} has to be true or false")),
    }
}

/// What cannot be read at all. The text itself is not told: it may be a secret.
fn fault(error: &csv::Error) -> String {
    let line = error.position().map_or(0, csv::Position::line);
    format!("line {line}: the line cannot be read as cells")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_line_becomes_an_account_and_what_is_empty_says_nothing() {
        let text = "\u{feff}username,name,email,email_verified,enabled,password_hash,given_name,address.country\n\
                    ada,\"Lovelace, Ada\",ada@example.org,yes,true,$2b$10$x,Ada,England\n\
                    bob,,,,false,,,\n";
        let brought = read(text).unwrap();
        let [ada, bob] = &brought.accounts[..] else { panic!("{brought:?}") };
        assert_eq!((ada.place.as_str(), ada.form.name.as_str()), ("line 2", "Lovelace, Ada"));
        assert_eq!((ada.hash.as_deref(), ada.email_verified, ada.enabled), (Some("$2b$10$x"), true, true));
        let profile = json!({ "given_name": "Ada", "address": { "country": "England" } });
        assert_eq!(Value::Object(ada.form.profile.0.clone()), profile);
        assert_eq!((bob.hash.as_deref(), bob.email_verified, bob.enabled), (None, false, false));
        assert_eq!((&bob.form.email, bob.form.profile.0.len()), (&None, 0));
    }

    #[test]
    fn a_line_that_is_wrong_leaves_the_others() {
        let brought = read("username,enabled\nada,maybe\nbob\ncleo,1\n").unwrap();
        let told: Vec<_> =
            brought.unreadable.iter().map(|one| (one.place.as_str(), one.reason.as_str())).collect();
        assert_eq!(
            told,
            [("line 2", "enabled has to be true or false"), ("line 3", "cells in the line: 1, columns: 2"),]
        );
        assert_eq!(brought.accounts.len(), 1);
    }

    #[test]
    fn columns_have_names_that_are_known_and_one_is_the_user_name() {
        for (text, said) in [
            ("", "`username` among them"),
            ("name\nAda\n", "`username` among them"),
            ("username,password\nada,x\n", "\"password\" is none of username, name"),
            ("username,email,email\nada,x,y\n", "the column email is there twice"),
        ] {
            assert!(read(text).unwrap_err().contains(said), "{text}");
        }
    }
}
