//! The page: a table for each group, and what is counted.

use crate::attacks::{Attack, DATA, GROUPS, Status};
use crate::requirements::tests_of;

pub(super) fn page(attacks: &[Attack]) -> String {
    let counted = |is: fn(&Status<'_>) -> bool| {
        attacks.iter().filter(|attack| attack.status().as_ref().is_some_and(is)).count()
    };
    let mut lines = vec![
        "# Attacks".to_owned(),
        String::new(),
        "What somebody might try, by the ids of the project's catalogue, with the tests that show that it comes to nothing. Tests of the \
         server run on SQLite and PostgreSQL both, unless the row says why not."
            .to_owned(),
        String::new(),
        format!(
            "{} attacks: {} shown, {} shown in part, {} otherwise, {} not applicable, {} without a test.",
            attacks.len(),
            counted(|status| matches!(status, Status::Shown)),
            counted(|status| matches!(status, Status::InPart(_))),
            counted(|status| matches!(status, Status::Unmet(_))),
            counted(|status| matches!(status, Status::NotApplicable(_))),
            counted(|status| matches!(status, Status::Untested(_))),
        ),
        String::new(),
        format!(
            "This page is made of `{DATA}` by `PORTCULLIS_ACCEPT_REQUIREMENTS=1 tests/run architecture`, which fails without it where they \
             differ, and where a test that is named does not exist."
        ),
    ];
    for (index, (letters, title, _)) in GROUPS.iter().enumerate() {
        lines.extend([String::new(), format!("## {letters}: {title}"), String::new()]);
        lines.extend(["| id | what is tried | status | shown by |", "|---|---|---|---|"].map(str::to_owned));
        let of_group =
            attacks.iter().filter(|attack| attack.place().is_some_and(|(group, _)| group == index));
        lines.extend(of_group.map(line));
    }
    lines.join("\n") + "\n"
}

fn line(attack: &Attack) -> String {
    let tests = attack.tests.iter().map(|test| link(test));
    let (status, told) = match attack.status() {
        Some(Status::Shown) => ("shown", None),
        Some(Status::InPart(rest)) => ("in part", Some(format!("No test: {rest}"))),
        Some(Status::Unmet(what)) => ("otherwise", Some(format!("**Otherwise:** {what}"))),
        Some(Status::NotApplicable(why)) => ("not applicable", Some(why.to_owned())),
        Some(Status::Untested(what)) => ("open", Some(format!("No test: {what}"))),
        None => ("open", None),
    };
    let shown: Vec<String> = tests.chain(told).chain(attack.one_database.clone()).collect();
    format!("| {} | {} | {status} | {} |", attack.id, attack.tries, shown.join("<br>"))
}

/// The name of a test, and where it is.
fn link(test: &str) -> String {
    match tests_of::place(test) {
        Some(place) => format!("[`{test}`](../../{place})"),
        None => format!("`{test}`"),
    }
}

#[test]
fn the_page_counts_and_says_of_each_attack_where_it_stands() {
    let read = |text: &str| toml::from_str::<Attack>(text).expect("an attack");
    let attacks = [
        read(
            "id = \"AZ-01\"\ntries = \"One.\"\ntests = [\"attack::codes::none\"]\none_database = \"A file.\"",
        ),
        read("id = \"AZ-02\"\ntries = \"Two.\"\ntests = [\"nowhere::none\"]\nuntested = \"The rest.\""),
        read("id = \"HT-05\"\ntries = \"Five.\"\ntests = [\"nowhere::none\"]\nunmet = \"It is read.\""),
        read("id = \"DA-01\"\ntries = \"Three.\"\nbecause = \"It is not offered.\""),
        read("id = \"DA-02\"\ntries = \"Four.\"\nuntested = \"All of it.\""),
    ];
    let page = page(&attacks);
    assert!(page.contains(
        "\n5 attacks: 1 shown, 1 shown in part, 1 otherwise, 1 not applicable, 1 without a test.\n"
    ));
    let rows: Vec<&str> = page.lines().filter(|line| line.contains("-0")).collect();
    assert_eq!(
        rows,
        [
            "| AZ-01 | One. | shown | [`attack::codes::none`](../../tests/attack/codes.rs)<br>A file. |",
            "| AZ-02 | Two. | in part | `nowhere::none`<br>No test: The rest. |",
            "| HT-05 | Five. | otherwise | `nowhere::none`<br>**Otherwise:** It is read. |",
            "| DA-01 | Three. | not applicable | It is not offered. |",
            "| DA-02 | Four. | open | No test: All of it. |",
        ]
    );
    assert!(page.ends_with("| DA-02 | Four. | open | No test: All of it. |\n"));
}
