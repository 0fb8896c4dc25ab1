//! A browser that does what a script says, as the OpenID conformance suite drives its own: tasks for pages by their addresses, and in each
//! a few commands.

use std::time::Duration;

use fantoccini::Locator;
use serde::Deserialize;

use crate::browser::Browser;

/// What to do at one page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    #[serde(rename = "task")]
    name: String,
    /// The address, with `*` for any text.
    #[serde(rename = "match")]
    address: String,
    /// Whether the page may be left out.
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    commands: Vec<Command>,
}

/// One step, as the first word of it says.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Command {
    /// `["wait", HOW, WHICH, SECONDS]`
    Wait(String, String, String, u64),
    /// `["text", HOW, WHICH, TEXT]`
    Text(String, String, String, String),
    /// `["click", HOW, WHICH]`
    Click(String, String, String),
}

impl Browser {
    /// Runs a script from the page that is open; gives the names of the tasks that were done.
    ///
    /// # Panics
    ///
    /// When a step cannot be done, or the browser is at a page for which the script has nothing.
    pub async fn run(&self, script: &str) -> Vec<String> {
        let tasks: Vec<Task> = serde_json::from_str(script).expect("the script is one");
        let mut done = Vec::new();
        for task in tasks {
            let at = self.url().await;
            if !matches(&task.address, at.as_str()) {
                assert!(task.optional, "`{}` is for {}, and the browser is at {at}", task.name, task.address);
                continue;
            }
            for command in &task.commands {
                self.step(command).await;
            }
            done.push(task.name);
        }
        done
    }

    async fn step(&self, command: &Command) {
        match command {
            Command::Text(name, how, which, text) if name == "text" => {
                let field = self.element(how, which, Duration::from_secs(20)).await;
                field.clear().await.expect("a field can be emptied");
                field.send_keys(text).await.expect("a field takes text");
            }
            Command::Click(name, how, which) if name == "click" => {
                let button = self.element(how, which, Duration::from_secs(20)).await;
                button.click().await.expect("a button can be clicked");
            }
            Command::Wait(name, how, which, secs) if name == "wait" => {
                self.element(how, which, Duration::from_secs(*secs)).await;
            }
            other => panic!("{other:?} is no command"),
        }
    }

    async fn element(&self, how: &str, which: &str, patience: Duration) -> fantoccini::elements::Element {
        let quoted = format!("[{how}=\"{which}\"]");
        let locator = match how {
            "id" => Locator::Id(which),
            "xpath" => Locator::XPath(which),
            "css" => Locator::Css(which),
            "name" => Locator::Css(&quoted),
            other => panic!("nothing is found by {other}"),
        };
        let found = self.client().wait().at_most(patience).for_element(locator).await;
        match found {
            Ok(element) => element,
            Err(error) => {
                panic!("no {how} `{which}` at {} ({error}):\n{}", self.url().await, self.source().await)
            }
        }
    }
}

/// Whether a text is what a pattern with `*` says.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|rest| matches(tail, rest))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_any_text_and_the_rest_is_itself() {
        for (pattern, text, is) in [
            ("https://a/login", "https://a/login", true),
            ("https://a/login", "https://a/login?x", false),
            ("https://a/login*", "https://a/login?x", true),
            ("https://*/login*", "https://a:1/login", true),
            ("https://*/login*", "https://a:1/consent", false),
            ("*/cb", "https://a/cb/cb", true),
            ("*/cb", "https://a/cb/x", false),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }
}
