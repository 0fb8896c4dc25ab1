//! The catalogue of attacks, and which tests show what becomes of each: the data lies in `tests/attack/catalogue.toml`, and the page
//! that is made of it in the documentation of the server.

mod page;

use std::collections::BTreeSet;
use std::fs;

use serde::Deserialize;

use crate::requirements::tests_of::Tests;
use crate::requirements::{MAX_CHARACTERS, fault_of_words};
use crate::source::workspace_root;

const DATA: &str = "tests/attack/catalogue.toml";
const PAGE: &str = "auth-server/docs/attacks.md";

/// The groups in their order: the letters that their ids begin with, what they are about, and how many attacks each has.
const GROUPS: [(&str, &str, usize); 16] = [
    ("AZ", "Authorization endpoint", 14),
    ("CO", "Codes and the token endpoint", 13),
    ("RT", "Refresh tokens", 6),
    ("CA", "Clients and what tokens are bound to", 10),
    ("JW", "Signed tokens and keys", 19),
    ("IN", "Introspection, revocation and userinfo", 4),
    ("SS", "Registration and the way out", 6),
    ("SE", "Sessions, consent and sign-out", 12),
    ("PW", "Passwords", 14),
    ("MF", "Second factors", 6),
    ("XS", "Pages and HTML", 7),
    ("SQ", "SQL", 3),
    ("CB", "Policies and paths", 12),
    ("AD", "Administration", 8),
    ("HT", "HTTP, limits and TLS", 12),
    ("DA", "Data, logs and the trail", 8),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    #[serde(rename = "attack")]
    attacks: Vec<Attack>,
}

/// One attack, by the id that it has in the catalogue.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attack {
    id: String,
    /// What somebody tries.
    tries: String,
    /// Those that show that it comes to nothing.
    #[serde(default)]
    tests: Vec<String>,
    /// Why it does not apply here.
    because: Option<String>,
    /// What of it no test shows: the rest, where tests are named.
    untested: Option<String>,
    /// What of it is otherwise than the catalogue asks.
    unmet: Option<String>,
    /// Why its tests are on one database alone.
    one_database: Option<String>,
}

/// What is known of an attack.
#[derive(Debug, PartialEq)]
enum Status<'a> {
    Shown,
    InPart(&'a str),
    NotApplicable(&'a str),
    Unmet(&'a str),
    Untested(&'a str),
}

impl Attack {
    /// Nothing, where it is said in no way or in several.
    fn status(&self) -> Option<Status<'_>> {
        match (self.tests.is_empty(), &self.because, &self.untested, &self.unmet) {
            (false, None, None, None) => Some(Status::Shown),
            (false, None, Some(rest), None) => Some(Status::InPart(rest)),
            (false, None, None, Some(what)) => Some(Status::Unmet(what)),
            (true, Some(why), None, None) => Some(Status::NotApplicable(why)),
            (true, None, Some(what), None) => Some(Status::Untested(what)),
            _ => None,
        }
    }

    /// Where it stands: by its group and its number.
    fn place(&self) -> Option<(usize, &str)> {
        let (letters, number) = self.id.split_once('-')?;
        let is_number = number.len() == 2 && number.bytes().all(|digit| digit.is_ascii_digit());
        let group = GROUPS.iter().position(|(group, ..)| *group == letters)?;
        is_number.then_some((group, number))
    }
}

fn catalogue() -> Catalogue {
    let text = fs::read_to_string(workspace_root().join(DATA)).expect("the catalogue is there");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{DATA}: {error}"))
}

/// What is wrong with the data.
pub(crate) fn faults() -> Vec<String> {
    let (catalogue, mut tests) = (catalogue(), Tests::default());
    let each = catalogue.attacks.iter();
    let each = each.flat_map(|attack| {
        fault(attack, &mut tests).into_iter().map(|what| format!("{}: {what}", attack.id)).collect::<Vec<_>>()
    });
    each.chain(disorder(&catalogue)).collect()
}

/// Ids that are none, that are there twice or at another place than their number says, and groups that lack some.
fn disorder(catalogue: &Catalogue) -> Vec<String> {
    let mut faults = Vec::new();
    let mut last = None;
    for attack in &catalogue.attacks {
        let place = attack.place();
        match place {
            None => faults.push(format!("{}: no id of the catalogue", attack.id)),
            Some(_) if place <= last => faults.push(format!("{}: twice, or out of order", attack.id)),
            Some(_) => {}
        }
        last = place.max(last);
    }
    let places: BTreeSet<_> = catalogue.attacks.iter().filter_map(Attack::place).collect();
    for (index, (letters, _, many)) in GROUPS.iter().enumerate() {
        let found = places.iter().filter(|(group, _)| *group == index).count();
        if found != *many {
            faults.push(format!("{letters}: {found} attacks, and the catalogue has {many}"));
        }
    }
    faults
}

fn fault(attack: &Attack, tests: &mut Tests) -> Vec<String> {
    let mut faults = Vec::new();
    if attack.status().is_none() {
        faults.push(
            "`tests`, `because` or `untested` has to be said; beside `tests` only `untested` or `unmet`"
                .to_owned(),
        );
    }
    let mut named = BTreeSet::new();
    for test in &attack.tests {
        if !tests.has(test) {
            faults.push(format!("there is no test `{test}`"));
        }
        if !named.insert(test) {
            faults.push(format!("`{test}` is named twice"));
        }
    }
    let databases: BTreeSet<&str> = attack.tests.iter().flat_map(|test| tests.databases(test)).collect();
    match (databases.len(), &attack.one_database) {
        (1, None) => faults.push(format!("shown on {databases:?} alone")),
        (0 | 2, Some(_)) => faults.push("it is not shown on one database alone".to_owned()),
        _ => {}
    }
    let said = [&attack.because, &attack.untested, &attack.unmet, &attack.one_database];
    faults
        .extend(said.into_iter().flatten().chain([&attack.tries]).filter_map(|words| fault_of_words(words)));
    faults
}

/// Whether the page is what the data gives, after it was written anew where that is wanted.
pub(crate) fn is_up_to_date(accepts: bool) -> bool {
    let (place, wanted) = (workspace_root().join(PAGE), page::page(&catalogue().attacks));
    if accepts {
        fs::write(&place, &wanted).expect("the page can be written");
    }
    fs::read_to_string(place).is_ok_and(|written| written == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Attack {
        toml::from_str(&format!("tries = \"x\"\n{lines}")).expect("an attack")
    }

    #[test]
    fn an_attack_says_in_one_way_what_becomes_of_it_and_is_shown_on_both_databases() {
        let mut tests = Tests::default();
        let both = "\"attack::codes::co_04_a_code_is_of_no_use_to_another_client\"";
        let none = "\"guard::tokens::a_huge_token_is_refused\"";
        let sqlite = "\"attack::secrets::da_04_data_is_for_its_owner_alone_sqlite\"";
        let postgres = "\"process::replicas::a_key_that_was_revoked_counts_at_neither_program_postgres\"";
        for (lines, faults) in [
            (format!("tests = [{both}]"), 0),
            (format!("tests = [{none}]"), 0),
            (format!("tests = [{none}, {both}]\nuntested = \"The rest.\""), 0),
            (format!("tests = [{both}]\nunmet = \"It is read.\""), 0),
            (format!("tests = [{sqlite}, {postgres}]"), 0),
            (format!("tests = [{sqlite}]\none_database = \"It is a file.\""), 0),
            ("because = \"It is not offered.\"".to_owned(), 0),
            ("untested = \"All of it.\"".to_owned(), 0),
            (format!("tests = [{sqlite}]"), 1),
            (format!("tests = [{none}, {postgres}]"), 1),
            (format!("tests = [{both}]\none_database = \"It is a file.\""), 1),
            ("because = \"It is not offered.\"\none_database = \"It is a file.\"".to_owned(), 1),
            (String::new(), 1),
            ("tests = []".to_owned(), 1),
            (format!("tests = [{both}]\nbecause = \"It is not offered.\""), 1),
            ("because = \"It is not offered.\"\nuntested = \"All of it.\"".to_owned(), 1),
            (format!("tests = [{both}]\nuntested = \"The rest.\"\nunmet = \"It is read.\""), 1),
            ("unmet = \"It is read.\"".to_owned(), 1),
            ("untested = \" \"".to_owned(), 1),
            (format!("because = \"{}\"", "x".repeat(MAX_CHARACTERS + 1)), 1),
            (format!("tests = [{both}, {both}]"), 1),
            ("tests = [\"attack::codes::co_04\"]".to_owned(), 1),
        ] {
            assert_eq!(
                fault(&read(&format!("id = \"AZ-01\"\n{lines}")), &mut tests).len(),
                faults,
                "{lines}"
            );
        }
    }

    #[test]
    fn an_id_stands_once_and_where_its_number_says_and_none_is_missing() {
        let of_group = |(letters, _, many): &(&str, &str, usize)| {
            let letters = letters.to_owned();
            (2..many + 2).map(move |number| format!("{letters}-{number:02}")).collect::<Vec<_>>()
        };
        let whole: Vec<String> = GROUPS.iter().flat_map(of_group).collect();
        let in_place = |at: usize, id: &str| {
            let mut ids = whole.clone();
            id.clone_into(&mut ids[at]);
            ids
        };
        let with = |at: usize, id: &str| {
            let mut ids = whole.clone();
            ids.insert(at, id.to_owned());
            ids
        };
        for (ids, faults) in [
            (whole.clone(), 0),
            (in_place(0, "AZ-01"), 0),
            (in_place(13, "AZ-99"), 0),
            (with(0, "AZ-01"), 1),
            (with(1, "AZ-02"), 1),
            (with(1, "AZ-01"), 2),
            (with(14, "AZ-03"), 1),
            (with(0, "ZZ-01"), 1),
            (with(0, "AZ-1"), 1),
            (with(0, "AZ01"), 1),
            (with(0, "AZ-0a"), 1),
            (in_place(0, "AZ-03"), 2),
            (whole[1..].to_vec(), 1),
            (whole[14..].to_vec(), 1),
        ] {
            let attacks = ids.iter().map(|id| read(&format!("id = \"{id}\""))).collect();
            assert_eq!(disorder(&Catalogue { attacks }).len(), faults, "{ids:?}");
        }
    }
}
